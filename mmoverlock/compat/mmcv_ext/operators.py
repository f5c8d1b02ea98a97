"""What ``mmcv._ext`` offers when it was not compiled, on torchvision.ops and PyTorch.

This module is loaded as ``mmcv._ext`` (see ``__init__.py``). Names, argument order and in-place
outputs are those of the compiled extension of mmcv 2.x, whose wrappers in ``mmcv.ops`` call it.
Operators that are not here exist too, but raise when called.
"""

# ruff: noqa: F401

from collections.abc import Callable

from .boxes import bbox_overlaps, nms, nms_match, softnms
from .carafe import (
    carafe_backward,
    carafe_forward,
    carafe_naive_backward,
    carafe_naive_forward,
)
from .deform_conv import (
    deform_conv_backward_input,
    deform_conv_backward_parameters,
    deform_conv_forward,
    modulated_deform_conv_backward,
    modulated_deform_conv_forward,
)
from .deform_roi_pool import (
    deform_roi_pool_backward,
    deform_roi_pool_forward,
)
from .focal_loss import (
    sigmoid_focal_loss_backward,
    sigmoid_focal_loss_forward,
    softmax_focal_loss_backward,
    softmax_focal_loss_forward,
)
from .line_nms import line_nms_forward
from .masked_conv import masked_col2im_forward, masked_im2col_forward
from .multi_scale_deform_attn import (
    ms_deform_attn_backward,
    ms_deform_attn_forward,
)
from .psa_mask import psamask_backward, psamask_forward
from .regions import (
    roi_align_backward,
    roi_align_forward,
    roi_pool_backward,
    roi_pool_forward,
)
from .roi_align_rotated import (
    roi_align_rotated_backward,
    roi_align_rotated_forward,
)
from .rotated_boxes import box_iou_rotated, nms_rotated
from .sync_bn import (
    sync_bn_backward_data,
    sync_bn_backward_param,
    sync_bn_forward_mean,
    sync_bn_forward_output,
    sync_bn_forward_var,
)


def get_compiler_version() -> str:
    """Asked for by ``mmcv.utils.collect_env``."""
    return 'n/a'


get_compiling_cuda_version = get_compiler_version


def __getattr__(name: str) -> Callable:
    if name.startswith('_'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

    def missing(*args, **kwargs):
        raise NotImplementedError(
            f"mmcv operator '{name}' needs mmcv with compiled operators: pip install "
            "'setuptools>=80,<82' wheel ninja && pip install --no-build-isolation --no-cache-dir "
            '--force-reinstall --no-deps --no-binary onedl-mmcv onedl-mmcv'
        )

    return missing
