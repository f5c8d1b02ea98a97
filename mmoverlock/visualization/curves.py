"""Training curves of one run, from the scalars that MMEngine writes beside its log."""

from pathlib import Path

from mmoverlock.utils.run_log import Points, find_logs, read_run_log

from .panels import Line, Panel, draw_panels

VAL_LOSS = 'val/cross_entropy'
MAIN = ('mAP', 'top1', 'top5', 'mIoU', 'aAcc', VAL_LOSS)  # ends of the names of the main metrics


def draw_curves(work_dir: str | Path, path: str | Path) -> None:
    """Draw a run's losses and evaluation metrics against the training step, to the picture `path`.

    Raises:
        ValueError: if the run left no scalars, or no losses and metrics in them.
    """
    trained, evaluated = read_points(work_dir)
    losses, metrics = Panel('loss'), Panel('metric')
    for name, values in sorted(trained.items()):
        losses.lines.append(Line(0, name, list(values), list(values.values())))
    for name, values in sorted(evaluated.items()):
        panel = losses if name == VAL_LOSS else metrics
        panel.lines.append(Line(0, name, list(values), list(values.values()), marked=True))
    panels = [panel for panel in (losses, metrics) if panel.lines]
    if not panels:
        raise ValueError(f"'{work_dir}': no loss and none of the main metrics was logged")
    draw_panels(panels, [''], 'step', path)


def read_points(work_dir: str | Path) -> tuple[dict[str, Points], dict[str, Points]]:
    """Training losses and main metrics, each by name as values at training steps.

    Raises:
        ValueError: if the run left no scalars.
    """
    files = find_logs(work_dir)
    log = read_run_log(files)
    if not log.trained and not log.evaluated:
        why = 'nothing that can be read in its' if files else 'no'
        raise ValueError(f"'{work_dir}' holds {why} */vis_data/scalars.json: no run trained there")
    trained = {name: points for name, points in log.trained.items() if 'loss' in name}
    evaluated = {name: points for name, points in log.evaluated.items() if name.endswith(MAIN)}
    return trained, evaluated
