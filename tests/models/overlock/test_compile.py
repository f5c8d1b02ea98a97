"""torch.compile takes the whole network in one graph, and the graph computes the same."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch._subclasses import FakeTensorMode

from mmoverlock.models import OverLoCK
from mmoverlock.models.overlock import get_arch

XXT = replace(get_arch('xxt'), depth=(1, 1, 1, 1), sub_depth=(1, 1))  # a block of each kind


@pytest.fixture
def image():
    return torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize('training', [False, True])
def test_the_graph_holds_our_operators(image, training):
    model = OverLoCK(XXT, deploy=not training).train(training)
    targets = set()

    def backend(graph, inputs):
        targets.update(str(node.target) for node in graph.graph.nodes)
        return graph.forward

    with torch.set_grad_enabled(training):
        torch.compile(model, fullgraph=True, backend=backend)(image)
    ours = {'dilated_branches', 'gelu_conv_grn'} if training else {'depthwise_conv2d'}
    assert {target for target in targets if target.startswith('mmoverlock')} == {
        f'mmoverlock.{name}.default' for name in ours | {'contmix_numba'}
    }


@pytest.mark.parametrize('strict', [False, True])
def test_an_exported_graph_holds_none_of_them(image, strict):
    model = OverLoCK(XXT, deploy=True).eval()
    exported = torch.export.export(model, (image,), strict=strict)
    assert 'mmoverlock' not in exported.graph_module.code


@pytest.mark.parametrize('deploy', [False, True])
def test_inference(image, deploy):
    torch.manual_seed(0)
    model = OverLoCK(XXT, out_indices=(0, 1, 2, 3), fuse_overview=True, deploy=deploy).eval()
    compiled = torch.compile(model, fullgraph=True, backend='aot_eager')
    with torch.no_grad():
        for actual, expected in zip(compiled(image), model(image), strict=True):
            torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('training', [False, True])
def test_training_step(image, training):
    """Gradients, and with batch norms in training their running statistics."""
    torch.manual_seed(0)
    original = OverLoCK(XXT).double().train(training)
    results = []
    for compiled in (False, True):
        model = deepcopy(original)
        run = torch.compile(model, fullgraph=True, backend='aot_eager') if compiled else model
        sum(out.square().mean() for out in run(image.double())).backward()
        results.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
        results[-1].update(model.named_buffers())
    expected, actual = results
    assert actual.keys() == expected.keys()
    for name, tensor in actual.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-6, atol=1e-9, msg=name)


def test_training_step_without_memory():
    """Fake tensors, with which memory is estimated, go through our operators."""
    with FakeTensorMode():
        model = OverLoCK(XXT)
        sum(out.sum() for out in model(torch.randn(2, 3, 64, 64))).backward()
    assert all(p.grad is not None and p.grad.shape == p.shape for p in model.parameters())
