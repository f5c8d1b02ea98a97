"""The steps of device_check.py, the most important first.

A step takes a :class:`.setting.Setting` and yields the rows of its tables; one with `ok` False
fails the check. Its docstring's first line is its title.
"""

from .correctness import networks, operators
from .machine import environment, mmcv_operators, tiles
from .setting import Setting, Skip
from .speed import (
    branches_speed,
    contmix_speed,
    depthwise_speed,
    inference_speed,
    mask_rcnn,
    training_speed,
)
from .training import processes, training_step

__all__ = ['STEPS', 'Setting', 'Skip', 'tiles']

STEPS = {
    step.__name__: step
    for step in (
        environment,
        operators,
        networks,
        training_step,
        contmix_speed,
        training_speed,
        branches_speed,
        mask_rcnn,
        processes,
        inference_speed,
        depthwise_speed,
        mmcv_operators,
    )
}
