"""A hook that lets a run go on in the middle of an epoch, with the images it has not seen there."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner

from mmoverlock.engine.batches import repeatable, samplers, skip_batches
from mmoverlock.engine.random_state import random_state, set_random_state

Position = dict[str, Any]


@HOOKS.register_module()
class ResumePosition(Hook):
    """Keeps in each checkpoint where in the data the run is, and goes on there.

    MMEngine begins the epoch again, so that its first images count twice and the run takes more
    steps than planned; a loop of iterations reads all images again that it has seen. Here the rest
    of the epoch follows, in the order of the undisturbed run, and nothing is read to be left out.
    The random generators go on, too, those of the data loaders' workers excepted: they start again.

    With another number of images per step, by the batch size or the number of processes, the run
    goes on at the same image, or up to one step before, and says so. A loop, sampler or batch
    sampler that is not known to repeat its order is warned about.
    """

    priority = 'LOWEST'  # a broken validation is made up for when all else is ready

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []  # of the random generators, for each process
        self.before_validation: dict[str, Any] = {}
        self.validate = False
        self.resumed: Position | None = None
        self.loaded: dict[str, Any] | None = None  # the state of this process's generators
        self.validated = False

    def before_val(self, runner: Runner) -> None:
        self._restore_random_state()
        self.validated = True
        self.before_validation = random_state()

    def after_val(self, runner: Runner) -> None:
        self.before_validation = {}

    def before_stop(self, runner: Runner, validate: bool) -> None:
        """Collect the generators' states; `validate` when a validation is broken off, or due."""
        self.validate = validate
        self.states = all_gather_object(self.before_validation or random_state())

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Add ``position`` to the checkpoint's meta, and ``random_states``."""
        meta, loader = checkpoint['meta'], runner.train_dataloader
        steps = len(loader) if isinstance(runner.train_loop, EpochBasedTrainLoop) else 0
        meta['position'] = dict(
            step=meta['iter'] - meta['epoch'] * steps,
            steps_per_epoch=steps,
            images=_images_per_step(loader),
            sampler_seed=getattr(samplers(loader)[-1], 'seed', None),
            validate=self.validate,
            early_stopping=[(hook.best_score, hook.wait_count) for hook in _stoppers(runner)],
        )
        alone = [random_state()] if get_world_size() == 1 else []
        checkpoint['random_states'] = self.states or alone

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Read what :meth:`before_save_checkpoint` wrote; adapt the count of steps to the data."""
        meta = checkpoint.get('meta', {})
        position = meta.get('position')
        if not runner._resume:
            return
        if not _is_position(position):
            _begin_the_epoch(runner, meta)
            return
        self.resumed = dict(position)
        states = checkpoint.get('random_states', [])
        loader, step = runner.train_dataloader, position['step']
        by_epoch = isinstance(runner.train_loop, EpochBasedTrainLoop)
        steps, images = len(loader) if by_epoch else 0, _images_per_step(loader)
        before = position['steps_per_epoch'], position['images']
        if before != (steps, images):
            states = []
            whole = by_epoch and step == before[0]
            step = steps if whole else step * before[1] // images
            print_log(
                f'a step takes {images} images and an epoch {steps or "any"} steps, it was '
                f'{before[1]} and {before[0] or "any"}: the run goes on after as many images, or '
                'up to one step before; learning rates scheduled by steps keep the old count',
                logger='current',
                level=logging.WARNING,
            )
        if by_epoch:
            step = min(step, steps)
            meta['iter'] = meta['epoch'] * steps + step
        self.resumed['step'] = step
        self.loaded = states[get_rank()] if len(states) == get_world_size() else None
        for hook, found in zip(_stoppers(runner), position['early_stopping'], strict=False):
            hook.best_score, hook.wait_count = found
        seed = position['sampler_seed']
        if seed is not None and hasattr(samplers(loader)[-1], 'seed'):
            samplers(loader)[-1].seed = seed

    def before_train(self, runner: Runner) -> None:
        """Arrange for the rest of the data; make up for a validation that was broken off."""
        self.validate, self.states = False, []
        if self.resumed is None:
            return
        position, self.resumed = self.resumed, None
        self._restore_random_state()
        # With `save_best` the checkpoint hook has done so.
        if position['validate'] and runner.val_loop is not None and not self.validated:
            runner.val_loop.run()
        loop, step, state = runner.train_loop, position['step'], random_state()
        if step and not repeatable(runner.train_dataloader):
            print_log(
                f'the order of the images by {type(samplers(loop.dataloader)[-1]).__name__} is not '
                'known to be that of the run before: some may be seen twice, others left out',
                logger='current',
                level=logging.WARNING,
            )
        if isinstance(loop, IterBasedTrainLoop):
            if repeatable(loop.dataloader):
                loop.dataloader_iterator.skip_iter = partial(_skip_iter, loop, step, state)
        elif step and type(loop).run_epoch is EpochBasedTrainLoop.run_epoch:
            loop.run_epoch = partial(_run_rest_of_epoch, loop, step, state)  # once
        elif step:
            print_log(
                f'{type(loop).__name__} begins the epoch again, {step} steps of it are repeated',
                logger='current',
                level=logging.WARNING,
            )

    def _restore_random_state(self) -> None:
        """Do so before the first thing that draws numbers: a validation, or the training."""
        if self.loaded is not None:
            set_random_state(self.loaded)
        self.loaded = None


def _begin_the_epoch(runner: Runner, meta: dict[str, Any]) -> None:
    """Adapt the count of steps of a checkpoint without a position: the epoch starts again."""
    if not isinstance(runner.train_loop, EpochBasedTrainLoop):
        return
    step = meta['epoch'] * len(runner.train_dataloader)
    if meta['iter'] != step:
        print_log(
            f'the checkpoint of step {meta["iter"]} does not say where in the data it was saved: '
            f'the run goes on with the first image of epoch {meta["epoch"] + 1}, from step {step}',
            logger='current',
            level=logging.WARNING,
        )
        meta['iter'] = step


def _run_rest_of_epoch(loop: EpochBasedTrainLoop, step: int, state: dict) -> None:
    """`EpochBasedTrainLoop.run_epoch`, from the batch number `step` on."""
    del loop.run_epoch  # the next epoch is a whole one
    loop.runner.call_hook('before_train_epoch')
    loop.runner.model.train()
    batches = skip_batches(loop.dataloader, step)
    set_random_state(state)  # after the data loader has drawn its seed
    for index, batch in enumerate(batches, step):
        loop.run_iter(index, batch)
    loop.runner.call_hook('after_train_epoch')
    loop._epoch += 1


def _skip_iter(loop: IterBasedTrainLoop, step: int, state: dict, _: int) -> None:
    """`_InfiniteDataloaderIterator.skip_iter`, which would load what it skips."""
    batches, loader = loop.dataloader_iterator, loop.dataloader
    order = samplers(loader)[-1]
    if type(order).__name__ != 'InfiniteSampler':
        batches._epoch, step = divmod(step, len(loader))
        order.set_epoch(batches._epoch)
    batches._iterator = skip_batches(loader, step)
    set_random_state(state)


def _is_position(value: Any) -> bool:
    """Whether a checkpoint's entry is what this hook writes."""
    numbers = 'step', 'steps_per_epoch', 'images'
    return (
        isinstance(value, dict)
        and value.keys() >= {*numbers, 'sampler_seed', 'validate', 'early_stopping'}
        and all(type(value[name]) is int and value[name] >= 0 for name in numbers)
        and value['images'] > 0
    )


def _images_per_step(loader: Any) -> int:
    size = loader.batch_size or getattr(loader.batch_sampler, 'batch_size', None)
    return (size if isinstance(size, int) else 1) * get_world_size()


def _stoppers(runner: Runner) -> Sequence[EarlyStoppingHook]:
    return [hook for hook in runner.hooks if isinstance(hook, EarlyStoppingHook)]
