"""The loss on the validation images is that of the formula, and training does not notice it."""

import json
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config, ConfigDict
from mmengine.model import BaseDataPreprocessor, BaseModel, ExponentialMovingAverage
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmoverlock.engine import ValLossHook
from mmoverlock.engine.hooks.val_loss import annotations_first


class Preprocessor(BaseDataPreprocessor):
    batch_augments = staticmethod(lambda inputs: 100 * inputs)

    def forward(self, data, training):
        assert training
        inputs = torch.tensor(data)[:, None]
        return dict(inputs=self.batch_augments(inputs) if self.batch_augments else inputs)


class Model(BaseModel):
    """Its loss is the mean of the inputs, and what it draws at random."""

    def __init__(self, drawn: float = 0.0):
        super().__init__(data_preprocessor=Preprocessor())
        self.layer = torch.nn.BatchNorm1d(1)
        self.drawn = drawn

    def forward(self, inputs, mode):
        assert mode == 'loss' and not self.layer.training and not torch.is_grad_enabled()
        return dict(
            loss_a=inputs.mean() / 2,
            loss_b=[inputs.mean() / 4] * 2,
            drawn_loss=torch.rand(1)[0] * self.drawn,
        )


def runner(model, batches=((1.0, 2.0), (6.0,))):
    return SimpleNamespace(
        model=model, seed=0, cfg=SimpleNamespace(val_dataloader=ConfigDict(dataset=ConfigDict())),
        build_dataloader=lambda cfg, seed: list(batches),
    )  # fmt: skip


@pytest.mark.parametrize('wrap', [lambda model: model, ExponentialMovingAverage])
def test_every_image_counts_the_same(wrap):
    metrics = dict(accuracy=1.0)
    ValLossHook().after_val_epoch(runner(wrap(Model())), metrics)
    assert metrics == {'accuracy': 1.0, 'val/objective': pytest.approx(3.0)}


def test_it_repeats_and_leaves_no_trace():
    model, hook, found = Model(drawn=1.0).train(), ValLossHook(), []
    augments = model.data_preprocessor.batch_augments
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    for _ in range(2):
        metrics = {}
        hook.after_val_epoch(runner(model), metrics)
        found.append(metrics['val/objective'])
    assert found[0] == found[1] != 3.0
    assert torch.equal(torch.rand(3), expected)
    assert model.data_preprocessor.batch_augments is augments


def test_annotations_have_the_scale_of_the_image(at_home):
    """The config resizes 64² images to 160², and then loads boxes: those of 64²."""
    cfg = Config.fromfile('det.py')
    init_default_scope('mmdet')
    boxes, sizes = [], []
    for loader in (cfg.val_dataloader, annotations_first(cfg.val_dataloader)):
        batch = next(iter(Runner.build_dataloader(loader)))
        boxes.append(batch['data_samples'][0].gt_instances.bboxes.tensor)
        sizes.append(batch['inputs'][0].shape)
    assert sizes[0] == sizes[1] == (3, 160, 160)
    torch.testing.assert_close(boxes[1], boxes[0] * 160 / 64)


def test_training_logs_it(at_home, tool, tmp_path):
    options = ['train_cfg.max_iters=2', 'train_cfg.val_interval=1']
    config = tmp_path / 'mine.py'
    config.write_text(
        f"_base_ = '{at_home}/det.py'\n"
        "custom_hooks = [*_base_.custom_hooks, dict(type='ValLossHook')]\n"
    )
    tool('train')([str(config), '--work-dir', str(tmp_path), '--cfg-options', *options])
    (log,) = tmp_path.rglob('scalars.json')
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    first, second = (row['val/objective'] for row in rows if 'val/objective' in row)
    assert 0 < second != first
