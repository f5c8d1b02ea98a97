"""The networks equal the published ones: outputs, and in training the gradient of every parameter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS
from mmpretrain.structures import DataSample
from torch import nn

from mmoverlock.models import ContMixBlock, OverLoCK, load_official, match_state_dict

DATA = Path(__file__).parents[1] / 'data'


def classifier(arch: str, num_classes: int, **kwargs):
    return MODELS.build(
        dict(
            _scope_='mmpretrain',
            type='ImageClassifier',
            backbone=dict(type='OverLoCK', arch=arch, **kwargs),
            head=dict(type='OverLoCKHead', arch=arch, num_classes=num_classes),
        )
    )


@pytest.mark.parametrize(
    ('arch', 'num_classes', 'seed', 'shape'),
    [
        ('xxt', 20, 0, (2, 3, 64, 64)),
        ('xxt', 20, 1, (1, 3, 72, 104)),
        ('xt', 1000, 2, (1, 3, 224, 224)),
    ],
    ids=str,
)
def test_classification(golden, backend, arch, num_classes, seed, shape):
    expected = golden.arrays(f'cls_{arch}_{shape[2]}x{shape[3]}')
    model = classifier(arch, num_classes).eval()
    report = load_official(model, golden.state_dict(f'cls/{arch}'))
    assert not report.missing and not report.unexpected
    image = golden.draw(seed, *shape)
    with torch.no_grad():
        golden.check(model(image), expected['logits'])
        focus, overview = model.extract_feat(image)
        golden.check(focus[:, ::7, ::2, ::2], expected['focus'])
        golden.check(overview[:, ::7, ::2, ::2], expected['overview'])
        scores = torch.stack([sample.pred_score for sample in model(image, mode='predict')])
        golden.check(scores, torch.tensor(expected['logits']).softmax(1).numpy())


class Weighted(nn.Module):
    """A loss that is linear in the logits: the golden weights of the first call, then the second."""

    def __init__(self, *weights: torch.Tensor):
        super().__init__()
        self.weights, self.logits = weights, []

    def forward(self, logits: torch.Tensor, target: torch.Tensor, avg_factor: int) -> torch.Tensor:
        self.logits.append(logits)
        return (logits * self.weights[len(self.logits) - 1]).sum()


@pytest.mark.parametrize('use_checkpoint', [(0, 0, 0, 0), (1, 1, 2, 3)], ids=str)
def test_training_step(golden, backend, use_checkpoint):
    """A classifier's loss, main + 0.4 · auxiliary: logits, input gradient, norms of all gradients."""
    expected = golden.arrays('cls_xxt_train_64x64')
    model = classifier('xxt', 20, use_checkpoint=use_checkpoint)
    model.head.loss_module = Weighted(golden.draw(4, 2, 20), golden.draw(5, 2, 20))
    state = golden.state_dict('cls/xxt')
    load_official(model, state)
    x = golden.draw(3, 2, 3, 64, 64).requires_grad_()
    samples = [DataSample().set_gt_label(0) for _ in x]
    loss, logged = model.parse_losses(model(x, samples, mode='loss'))
    assert set(logged) == {'loss', 'loss_aux'}
    main, aux = model.head.loss_module.logits
    golden.check(main, expected['main'])
    golden.check(aux, expected['aux'])
    loss.backward()
    golden.check(x.grad[:, :, ::8, ::8], expected['input_grad'])

    norms = json.loads((DATA / 'cls_xxt_train_grad_norms.json').read_text())
    fits, _ = match_state_dict(model, state)
    our_name = {id(tensor): name for name, tensor in fits.items()}
    parameters = dict(model.named_parameters())
    assert len(parameters) == len(norms)
    largest = max(norms.values())
    compared = 0
    for name, norm in norms.items():
        ours = parameters[our_name[id(state[name])]].grad.norm().item()
        if norm < 1e-6 * largest:  # zero in theory: the bias before a batch norm, and the like
            assert ours < 1e-5 * largest, name
        else:
            compared += 1
            assert abs(ours - norm) <= 1e-4 * max(norm, 1e-3 * largest), name
    assert compared >= len(norms) - 61


@pytest.mark.parametrize(
    ('task', 'arch', 'seed', 'shape'),
    [
        ('det', 'xt', 4, (1, 3, 96, 160)),
        ('seg', 'xt', 4, (1, 3, 96, 160)),
        ('det', 'xxt', 5, (2, 3, 70, 90)),
        ('seg', 'xxt', 5, (2, 3, 70, 90)),
    ],
)
def test_pyramid(golden, backend, task, arch, seed, shape):
    expected = golden.arrays(f'{task}_{arch}_{shape[2]}x{shape[3]}')
    model = OverLoCK(arch, out_indices=(0, 1, 2, 3), fuse_overview=task == 'det').eval()
    report = load_official(model, golden.state_dict(f'{task}/{arch}'))
    assert not report.missing and not report.unexpected
    with torch.no_grad():
        maps = model(golden.draw(seed, *shape))
    for i, out in enumerate(maps, start=2):
        assert tuple(out.shape) == tuple(expected[f'c{i}_shape'])
        golden.check(out[:, ::5, ::3, ::3], expected[f'c{i}'])


@pytest.mark.parametrize(
    ('name', 'seed', 'shape', 'train'),
    [('y', 30, (2, 32, 12, 9), False), ('y_small', 31, (1, 32, 5, 8), False), ('y_small_train', 32, (2, 32, 5, 4), True)],
)  # fmt: skip
def test_contmix_block(golden, backend, name, seed, shape, train):
    block = ContMixBlock(32, 7, 5, num_heads=2, mlp_ratio=2, ls_init_value=1.0, res_scale=True)
    block.load_state_dict(golden.state_dict('32_k7', 'contmix_block_manifest.json'), strict=True)
    out = block.train(train)(golden.draw(seed, *shape))
    golden.check(out, golden.arrays('contmix_block_32_k7')[name])


def test_contmix_block_without_scales(golden):
    block = ContMixBlock(48, 13, 5, num_heads=3, mlp_ratio=4)
    block.load_state_dict(golden.state_dict('48_k13', 'contmix_block_manifest.json'), strict=True)
