"""A hook that evaluates the training loss on the validation images."""

from copy import deepcopy
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmoverlock.utils.config import type_name
from mmoverlock.utils.datasets import leaf_configs
from mmoverlock.utils.models import unwrap


@HOOKS.register_module()
class ValLossHook(Hook):
    """After each validation, adds ``val/objective`` to its metrics: the model's loss, all terms.

    It is the mean over the validation images, which are read a second time: the model is in
    evaluation mode, no gradient is computed, and no labels are mixed. Annotations are loaded before
    the image is resized, and so have its scale; the libraries' test pipelines often load them
    later. What the loss draws at random, such as proposals, is drawn alike each time.

    The name has no "loss" in it because MMEngine logs, of everything that has, a mean over several
    evaluations.
    """

    METRICS = ('val/objective',)  # that it adds
    priority = 'HIGHEST'  # before the metrics are logged, and EMAHook takes its weights away

    def __init__(self) -> None:
        self.dataloader = None

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if self.dataloader is None:
            cfg = annotations_first(runner.cfg.val_dataloader)
            self.dataloader = runner.build_dataloader(cfg, seed=runner.seed)
        if metrics is not None:
            metrics[self.METRICS[0]] = self._mean_loss(runner)

    @torch.no_grad()
    def _mean_loss(self, runner: Runner) -> float:
        model = unwrap(runner.model)
        preprocess = model.data_preprocessor
        augments = getattr(preprocess, 'batch_augments', None)
        model.eval()
        preprocess.batch_augments = None
        sums = torch.zeros(2, dtype=torch.float64)  # of the losses, and of the images
        try:
            with torch.random.fork_rng():
                torch.manual_seed(0)
                for batch in self.dataloader:
                    data = preprocess(batch, training=True)  # annotations are padded, as images are
                    loss, _ = model.parse_losses(model(**data, mode='loss'))
                    sums += torch.tensor([loss.item(), 1.0]) * len(data['inputs'])
        finally:
            preprocess.batch_augments = augments
        all_reduce(sums)
        return (sums[0] / sums[1]).item()


def annotations_first(dataloader: ConfigDict) -> ConfigDict:
    """A copy of a data loader's config whose pipelines load annotations right after the image."""

    def loads(step: dict[str, Any], what: str) -> bool:
        return f'Load{what}' in type_name(step)

    dataloader = deepcopy(dataloader)
    for dataset, _ in leaf_configs(dataloader.dataset):
        steps = dataset.get('pipeline') or []
        images = [step for step in steps if loads(step, 'Image')]
        annotations = [step for step in steps if loads(step, 'Annotations')]
        others = [step for step in steps if step not in images + annotations]
        if annotations:
            dataset.pipeline = images + annotations + others
    return dataloader
