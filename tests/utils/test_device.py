"""Device names."""

import pytest
import torch

from mmoverlock.utils.device import pick_device


def test_the_default_is_a_gpu_if_there_is_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert pick_device(None) == torch.device('cpu')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 1)
    assert pick_device(None) == torch.device('cuda')


@pytest.mark.parametrize('device', ['abacus', 'meta', 'cuda:x'])
def test_another_kind_is_refused(device):
    with pytest.raises(ValueError, match=f"^device='{device}': allowed are cpu, cuda, cuda:N$"):
        pick_device(device)


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    with pytest.raises(ValueError, match="^device='cuda:2': this machine has 2 GPUs$"):
        pick_device('cuda:2')
