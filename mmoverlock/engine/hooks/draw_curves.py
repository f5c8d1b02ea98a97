"""A hook that draws a run's curves."""

import logging
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class DrawCurves(Hook):
    """Draws the run's losses and metrics into ``curves.png`` in the work_dir when it ends."""

    priority = 'VERY_LOW'  # when all is written

    @master_only
    def after_train(self, runner: Runner) -> None:
        from mmoverlock.visualization.curves import draw_curves  # matplotlib takes its time

        path = Path(runner.work_dir, 'curves.png')
        try:
            draw_curves(runner.work_dir, path)
        except (ValueError, OSError) as error:  # nothing was logged, or the disk is full
            print_log(f'no curves are drawn: {error}', logger='current', level=logging.WARNING)
        else:
            print_log(f'curves of the run: {path}', logger='current')
