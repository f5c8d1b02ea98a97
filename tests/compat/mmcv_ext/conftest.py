"""The stand-in for mmcv's compiled operators, tested through mmcv's own wrappers."""

from pathlib import Path

import mmcv._ext
import pytest
import torch

import mmoverlock


@pytest.fixture(autouse=True)
def stand_in():
    package = Path(mmoverlock.__file__).parent
    if not Path(mmcv._ext.__file__).is_relative_to(package):
        pytest.skip('mmcv was compiled with its own operators, so the stand-in is not in use')


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')


@pytest.fixture(params=['cpu', pytest.param('cuda', marks=needs_cuda)])
def device(request):
    return request.param
