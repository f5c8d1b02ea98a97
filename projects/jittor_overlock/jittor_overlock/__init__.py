"""OverLoCK in Jittor. It needs what requirements.txt names, and nothing else."""

from .network import OverLoCK as OverLoCK
from .ops import dynamic_conv2d as dynamic_conv2d
from .weights import load_weights as load_weights
from .weights import save_weights as save_weights
