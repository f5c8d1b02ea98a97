"""What the machine is, and what other people's code computes on it."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from importlib.util import find_spec

import torch

from .setting import Rows, Setting, Skip, error_of, outcome


def environment(setting: Setting) -> Rows:
    """What this machine is."""
    facts = dict(torch=torch.__version__, cuda=torch.version.cuda, hip=torch.version.hip)
    if setting.cuda:
        gpu = torch.cuda.get_device_properties(setting.device)
        facts |= dict(GPU=gpu.name, capability=f'{gpu.major}.{gpu.minor}')
        facts |= {
            'memory, GB': gpu.total_memory / 1e9,
            'multiprocessors': gpu.multi_processor_count,
        }
        facts['cudnn'] = torch.backends.cudnn.version()
    for package in ('triton', 'timm', 'natten', 'mmengine', 'mmcv', 'mmdet'):
        found = importlib.import_module(package) if find_spec(package) else None
        facts[package] = getattr(found, '__version__', 'is not installed')
    for name, value in facts.items():
        yield dict(what=name, value=value)


def mmcv_operators(setting: Setting) -> Rows:
    """The operators that detectors take from mmcv: the GPU's results against the CPU's."""
    if find_spec('mmcv') is None:
        raise Skip('mmcv is not installed')
    from mmcv import ops as mmcv_ops

    torch.manual_seed(0)
    corners = torch.rand(60, 2) * 40
    boxes = torch.cat([corners, corners + 5 + torch.rand(60, 2) * 20], 1)
    scores, image = torch.rand(60), torch.rand(1, 4, 32, 32)
    rois = torch.cat([torch.zeros(60, 1), boxes], 1)
    rotated = torch.cat([corners, 5 + torch.rand(60, 2) * 20, torch.rand(60, 1)], 1)
    offset, mask = torch.randn(1, 18, 32, 32), torch.rand(1, 9, 32, 32)
    kernel, labels = torch.randn(4, 4, 3, 3), torch.arange(60) % 5
    cases = dict(
        nms=lambda t: mmcv_ops.nms(t(boxes), t(scores), 0.5)[0],
        soft_nms=lambda t: mmcv_ops.soft_nms(t(boxes), t(scores))[0],
        batched_nms=lambda t: mmcv_ops.batched_nms(
            t(boxes), t(scores), t(labels), dict(type='nms', iou_threshold=0.5)
        )[0],
        roi_align=lambda t: mmcv_ops.roi_align(t(image), t(rois), 7, 0.5, 0, 'avg', True),
        roi_pool=lambda t: mmcv_ops.roi_pool(t(image), t(rois), 7, 0.5),
        deform_conv2d=lambda t: mmcv_ops.deform_conv2d(t(image), t(offset), t(kernel), 1, 1),
        modulated_deform_conv2d=lambda t: mmcv_ops.modulated_deform_conv2d(
            t(image), t(offset), t(mask), t(kernel), None, 1, 1, 1, 1, 1
        ),
        sigmoid_focal_loss=lambda t: mmcv_ops.sigmoid_focal_loss(
            t(torch.linspace(-3, 3, 300).view(60, 5)), t(labels)
        ),
        box_iou_rotated=lambda t: mmcv_ops.box_iou_rotated(t(rotated), t(rotated)),
        nms_rotated=lambda t: mmcv_ops.nms_rotated(t(rotated), t(scores), 0.3)[0],
    )
    for name, case in cases.items():

        def compare(case: Callable = case) -> str | bool:
            wanted = case(lambda x: x.clone())
            found = case(lambda x: x.to(setting.device))
            return found.shape == wanted.shape and error_of(found, wanted) < 1e-4

        yield outcome(name, compare)


def tiles() -> dict[str, dict[str, str]]:
    """The tile that Triton's autotuner chose for each kernel so far, by its key."""
    chosen = {}
    for name, module in [*sys.modules.items()]:
        if not re.fullmatch(r'mmoverlock\.ops\.\w+\.triton_kernels', name):
            continue
        for function, kernel in vars(module).items():
            cache = getattr(kernel, 'cache', None)
            if isinstance(cache, dict) and hasattr(kernel, 'configs'):
                of = f'{name.split(".")[2]}.{function}'
                chosen[of] = {str(key): str(config) for key, config in cache.items()}
    return {name: of for name, of in chosen.items() if of}
