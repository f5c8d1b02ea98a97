"""OverLoCK: an overview-first, look-closely-next ConvNet (arXiv 2502.20087)."""

from .arch import ARCHS, Arch, get_arch

__all__ = ['ARCHS', 'Arch', 'get_arch']
