"""The stand-in for mmcv's compiled operators, tested through mmcv's own wrappers."""

import mmcv._ext
import pytest
import torch

from mmoverlock.compat import mmcv_ext


@pytest.fixture(autouse=True)
def stand_in():
    if mmcv._ext is not mmcv_ext.operators:
        pytest.skip('mmcv was compiled with its own operators, so the stand-in is not in use')


needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason='no CUDA device')


@pytest.fixture(params=['cpu', pytest.param('cuda', marks=needs_cuda)])
def device(request):
    return request.param
