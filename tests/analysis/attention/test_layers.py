"""Names of layers, and the layouts of what they give."""

import pytest
import torch
from torch import nn

from mmoverlock.analysis.attention.layers import as_map, catching, find_layers, short_names
from mmoverlock.models import VOLO, OverLoCK

ARCH = dict(
    depth=(1, 1, 1, 1), sub_depth=(2, 1), embed_dim=(8, 16, 32, 32), kernel_size=(5, 5, 5, 5),
    sub_num_heads=(2, 2), projection=16,
)  # fmt: skip
SIZE = 64, 96


def maps_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Each short name's map."""
    picture = torch.randn(1, 3, *SIZE)
    known = short_names(model, lambda: model(picture), SIZE)
    layers = find_layers(model, [*known], known)
    with torch.no_grad(), catching(layers) as caught:
        outputs = model(picture)
    maps = {name: as_map(one, SIZE) for name, one in caught.items()}
    return maps, outputs


def test_classifier_backbone():
    maps, (focus, overview) = maps_of(OverLoCK(ARCH).eval())
    shapes = {name: tuple(one.shape[1:]) for name, one in maps.items()}
    assert shapes == {
        'c2': (8, 16, 24), 'c3': (16, 8, 12), 'c4': (40, 4, 6), 'c5': (40, 2, 3),
        'focus': (40, 2, 3), 'overview': (32, 2, 3),
    }  # fmt: skip
    assert maps['focus'].equal(focus) and maps['overview'].equal(overview)


@pytest.mark.parametrize('indices', [(0, 1, 2, 3), (0, 2), (1,)])
def test_pyramid(indices):
    """The outputs have their names; what is not returned is named where it is computed."""
    maps, outputs = maps_of(OverLoCK(ARCH, out_indices=indices).eval())
    for index, output in zip(indices, outputs, strict=True):
        assert maps[f'c{index + 2}'].equal(output)


def test_volo():
    arch = dict(dims=(8, 16), outlookers=(1, 0), transformers=(0, 1), heads=(2, 2))
    maps, _ = maps_of(VOLO(arch).eval())
    assert {name: tuple(one.shape[1:]) for name, one in maps.items()} == {
        'level1': (8, 16, 24), 'level2': (16, 8, 12),
    }  # fmt: skip


def test_other_backbone():
    """Names follow strides; a dilated backbone's last stages count on."""

    class Dilated(nn.Module):
        def forward(self, x):
            return tuple(x[:, :, ::stride, ::stride] for stride in (4, 8, 8)) + (x.mean((2, 3)),)

    maps, outputs = maps_of(Dilated())
    assert [*maps] == ['c2', 'c3', 'c4']
    assert all(one.equal(output) for one, output in zip(maps.values(), outputs, strict=False))


def test_layouts():
    assert as_map(torch.zeros(1, 5, 8, 12), SIZE).shape == (1, 5, 8, 12)
    assert as_map(torch.zeros(1, 8, 12, 5), SIZE).shape == (1, 5, 8, 12)
    assert as_map(torch.zeros(1, 10, 2, 3), (65, 97)).shape == (1, 10, 2, 3)
    tokens = torch.arange(97.0).view(1, 97, 1)
    assert as_map(tokens, SIZE).equal(torch.arange(1.0, 97).view(1, 1, 8, 12))
    assert as_map(tokens[:, :96], SIZE).equal(torch.arange(96.0).view(1, 1, 8, 12))
    for shape in ((1, 10), (1, 10, 8, 8), (1, 95, 5)):
        assert as_map(torch.zeros(shape), SIZE) is None


def test_unknown_layer():
    model = nn.Sequential()
    model.backbone = OverLoCK(ARCH)
    with pytest.raises(ValueError, match="layer 'focuss' does not exist; the nearest: 'focus'"):
        find_layers(model, ['focuss'], dict.fromkeys(('c4', 'focus')))
    with pytest.raises(ValueError, match="'backbone.base_net.blocks1'.*short names: 'c4', 'focus'"):
        find_layers(model, ['backbone.basenet.blocks1'], dict.fromkeys(('c4', 'focus')))
    layers = find_layers(model, ['backbone.base_net.blocks1.0'] * 2, {})
    assert [layer.module for layer in layers] == [model.backbone.base_net.blocks1[0]]
