"""Speed, memory, parameters and multiply-adds of any config's model, and its parts' shares."""

import copy
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from torch import nn

from mmoverlock.models.overlock.reparam import reparameterize
from mmoverlock.ops.dispatch import recording
from mmoverlock.ops.explain import Explanation
from mmoverlock.utils.config import require
from mmoverlock.utils.device import pick_device
from mmoverlock.utils.errors import one_line
from mmoverlock.utils.models import build_model, library_of

from .counting import main_parts, part_multiply_adds, part_parameters
from .profiling import OTHER, Meter, attributed, in_turns, machine, peak_memory
from .report import Part, Report
from .slow_paths import slow_model, slow_operators, slow_process
from .synthetic import image_size, make_batch

BACKWARD = 'backward of '
OPTIMIZER = 'optimizer'
SHARE_RUNS = 3


def benchmark(
    cfg: Config,
    train: bool = False,
    size: tuple[int, int] | None = None,
    batch_size: int | None = None,
    iters: int = 10,
    warmup: int = 2,
    device: str | None = None,
    amp: str | None = None,
    merge: bool = True,
) -> Report:
    """Build the config's model with random weights and run it on random images.

    Args:
        cfg: Of mmdet, mmseg or mmpretrain.
        train: Time whole training steps (forward, backward, optimizer), else inference.
        size: Height and width; by default what the config tests with.
        batch_size: By default the config's in training, else 1.
        iters: Number of steps that are timed.
        warmup: Number of steps before them.
        device: 'cpu', 'cuda' or 'cuda:N'; by default a GPU if there is one.
        amp: 'bfloat16' or 'float16', for mixed precision.
        merge: Merge the large-kernel branches for inference.

    Raises:
        ValueError: if the config has no such model, or the device cannot do what is asked for.
    """
    require(cfg, 'model')
    if train and cfg.get('optim_wrapper') is None:
        raise ValueError(f"{train=} needs an optim_wrapper, config '{cfg.filename}' has none")
    place = pick_device(device)
    if place.type == 'cuda':
        torch.cuda.set_device(place)
    _check_amp(amp, place, train)
    torch.manual_seed(0)
    for key in ('iter', 'epoch'):  # some models ask how far the training is
        MessageHub.get_current_instance().update_info(key, 0)
    if (cfg.get('env_cfg') or {}).get('cudnn_benchmark'):
        torch.backends.cudnn.benchmark = True

    with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
        # Weights are loaded by init_weights(), which is not called.
        model = build_model(cfg).to(place).train(train)
        library = library_of(model)
        if merge and not train:
            reparameterize(model)
        size, source = (size, 'given') if size else image_size(cfg, library)
        of_config = (cfg.get('train_dataloader') or {}).get('batch_size') or 2
        batch_size = batch_size or (of_config if train else 1)
        batch = make_batch(model, library, size, batch_size)
        height, width = model.data_preprocessor(batch, train)['inputs'].shape[-2:]  # padded

        optimizer = _optimizer(cfg, model, amp) if train else None
        half = _half(amp, optimizer)
        autocast = torch.autocast(place.type, amp and getattr(torch, amp), enabled=bool(amp))

        def step() -> Any:
            if train:
                result = model.train_step(batch, optimizer)
            else:
                with torch.no_grad(), autocast:
                    result = model.test_step(batch)
            _synchronize()
            return result

        runs = max(warmup - 1, 0) + iters  # and one that in_turns() does not count
        seconds = in_turns({'step': step}, runs)['step'][-iters:]
        parts = main_parts(model)
        times = _part_seconds(step, parts, optimizer, min(iters, SHARE_RUNS))
        memory = peak_memory(step, place)
        macs = part_multiply_adds(model, parts, make_batch(model, library, size, 1))
        with recording() as records:
            step()
        explanation = Explanation(tuple(records))
        notes = _notes(model, step) if library == 'mmdet' and not train else []

    on_gpu = place.type == 'cuda'
    slow = [*slow_operators(explanation, place), *slow_model(model, place, bool(half))]
    parameters = part_parameters(model, parts, train)
    used = sum(parameters.values())
    return Report(
        config=cfg.filename,
        mode='training' if train else 'inference',
        size=(height, width),
        size_from=source,
        batch_size=batch_size,
        precision=f'mixed {half} and float32' if half else 'float32',
        machine=machine(place),
        images_per_second=batch_size / statistics.median(seconds),
        step_ms=[1e3 * one for one in seconds],
        peak_memory_mb=None if memory is None else memory / 1e6,
        memory_kind='allocated on the GPU' if on_gpu else 'above what the process held before',
        parameters=used,
        training_only_parameters=sum(p.numel() for p in model.parameters()) - used,
        multiply_adds=int(sum(macs.values())),
        parts=_rows(parts, parameters, macs, times, 1e3 * statistics.median(seconds)),
        operators=str(explanation).splitlines(),
        notes=notes,
        slow=slow if on_gpu else [*slow, *slow_process(memory)],
    )


def _check_amp(amp: str | None, device: torch.device, train: bool) -> None:
    if amp and device.type == 'cpu' and (train or amp == 'float16'):
        raise ValueError(f'{amp=} needs a GPU{" in training" if amp == "bfloat16" else ""}')
    if amp == 'bfloat16' and device.type == 'cuda':
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            raise ValueError(f'{amp=}: this GPU has none, use float16')


def _synchronize() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def _optimizer(cfg: Config, model: nn.Module, amp: str | None) -> Any:
    """The config's optimizer, which leaves the weights as they are: random ones may diverge."""
    optim_cfg = copy.deepcopy(cfg.optim_wrapper)
    if amp:
        scale = 'dynamic' if amp == 'float16' else 1.0
        optim_cfg.update(type='AmpOptimWrapper', dtype=amp, loss_scale=scale)
    try:
        wrapper = build_optim_wrapper(model, optim_cfg)
    except Exception as error:  # built from the user's words: the cause is in the message
        raise ValueError(f'optim_wrapper: {type(error).__name__}: {one_line(error)}') from error
    for group in wrapper.optimizer.param_groups:
        group['lr'] = 0.0
    return wrapper


def _half(amp: str | None, optimizer: Any) -> str | None:
    """The dtype of mixed precision, which may also be the config's wish."""
    if amp or not hasattr(optimizer, 'cast_dtype'):
        return amp
    return str(optimizer.cast_dtype or torch.float16).removeprefix('torch.')


def _part_seconds(
    step: Callable[[], Any], parts: dict[str, nn.Module], optimizer: Any, runs: int
) -> dict[str, float]:
    """Seconds of a step by part; a part's backward pass is under its name after `BACKWARD`."""

    def now() -> float:
        _synchronize()
        return time.perf_counter()

    meter = Meter(now)

    def backward(loss: torch.Tensor, **kwargs: Any) -> None:
        meter.watch_backward(loss, BACKWARD)
        type(optimizer).backward(optimizer, loss, **kwargs)
        meter.switch(OTHER)

    objects = dict(parts)
    if optimizer is not None:
        objects[OPTIMIZER] = optimizer
        optimizer.backward = backward
    with attributed(meter, objects):
        for _ in range(runs):
            del meter.starts[1:]
            step()
    if optimizer is not None:
        del optimizer.backward
    return {part: amount / runs for part, amount in meter.amounts.items() if part}


def _rows(
    parts: dict[str, nn.Module],
    parameters: dict[str, int],
    macs: dict[str, float],
    seconds: dict[str, float],
    step_ms: float,
) -> list[Part]:
    """The rows that are not empty, their times as shares of `step_ms`.

    A part whose parts have rows of their own keeps its rest.
    """
    whole = sum(seconds.values())
    rows = []
    for part in [*parts, OPTIMIZER, OTHER]:
        backward = seconds.get(f'{BACKWARD}{part}', 0) / whole
        share = seconds.get(part, 0) / whole + backward
        amounts = parameters.get(part, 0), int(macs.get(part, 0))
        if any(amounts) or share:
            detailed = any(other.startswith(f'{part}.') for other in parts)
            name = f'{part}, the rest' if detailed else part
            rows.append(Part(name, *amounts, share * step_ms, backward * step_ms, share))
    return rows


def _notes(model: nn.Module, step: Callable[[], Any]) -> list[str]:
    """What to know about a detector's figures; its time depends on what it finds."""
    found = [len(sample.pred_instances) for sample in step() if 'pred_instances' in sample]
    note = f'the random weights detect {statistics.mean(found or [0]):.0f} objects per image'
    if getattr(model, 'with_mask', False):
        note += ": 'time' has their masks, 'multiply-adds' those of proposals ('tensor' mode)"
    return [note]
