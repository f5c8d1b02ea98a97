"""Draw runs of train.py, erf.py and gradcam.py side by side.

    python plot.py RUN [RUN ...] --data digits.npz --out FOLDER

Writes curves.png, and erf.png and gradcam.png of the runs that have such files.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from experiment import data
from mmoverlock.analysis.figures.receptive_fields import draw_fields
from mmoverlock.analysis.figures.style import save_figure, style

DASHES = '-', '--', ':', '-.'
PANELS = {
    'loss': {'train_loss': 'training', 'val_loss': 'validation'},
    'auxiliary loss, training': {'train_loss_aux': ''},
    'accuracy (%)': {'acc_top1': 'top-1', 'acc_top5': 'top-5'},
}


def read(file: Path) -> dict[str, np.ndarray]:
    """The columns of a CSV file of numbers."""
    with open(file, encoding='utf-8', newline='') as lines:
        header, *rows = csv.reader(lines)
    columns = np.array(rows, float).reshape(-1, len(header)).T
    return dict(zip(header, columns, strict=True))


def draw_curves(runs: list[Path]) -> Figure:
    """Losses and accuracies by epoch, a colour for each and a dash for each run; and by how much
    the loss of every step differs from the first run's."""
    with style():
        figure = Figure(figsize=(13, 8), layout='constrained')
        *panels, last = figure.subplots(2, 2).flat
        first = read(runs[0] / 'steps.csv')['loss']
        for run, dash in zip(runs, DASHES, strict=False):
            log, loss = read(run / 'log.csv'), read(run / 'steps.csv')['loss']
            for axes, (title, columns) in zip(panels, PANELS.items(), strict=True):
                for number, (column, name) in enumerate(columns.items()):
                    label = f'{run.name}, {name}' if name else run.name
                    axes.plot(log['epoch'], log[column], dash, color=f'C{number}', label=label)
                axes.set(xlabel='epoch', ylabel=title)
            if run != runs[0]:
                both = min(len(loss), len(first))
                gaps = abs(loss[:both] - first[:both])
                if gaps.any():  # a logarithm of zeros alone draws nothing
                    last.semilogy(gaps, label=f'{run.name} against {runs[0].name}')
        last.set(xlabel='step', ylabel='difference of the training loss')
        for axes in (*panels, last):
            if axes.has_data():
                axes.legend(fontsize=8)
    return figure


def draw_cams(runs: list[Path], dataset: data.Data) -> Figure:
    """A row for each run; maps are relative to their largest value."""
    found = [(run.name, np.load(run / 'gradcam.npz')) for run in runs]
    chosen = found[0][1]['pictures']
    with style(''.join(dataset.classes)):
        size = 1.7 * len(chosen) + 0.3, 2 * (len(found) + 1)
        figure = Figure(figsize=size, layout='constrained')
        grid = figure.subplots(len(found) + 1, len(chosen), squeeze=False)
        for column, picture in enumerate(chosen):
            image, label = dataset.val.images[picture], dataset.val.labels[picture]
            titles = [f'{dataset.classes[label]:.14}']
            titles += [
                f'read as {dataset.classes[cams["predicted"][column]]:.14}' for _, cams in found
            ]
            for row, title in enumerate(titles):
                axes = grid[row, column]
                axes.imshow(image)
                axes.set_title(title, fontsize=8)
                axes.set(xticks=[], yticks=[])
                axes.grid(False)
                if row:
                    cam = found[row - 1][1]['maps'][column]
                    height, width, _ = image.shape
                    axes.imshow(
                        cam / max(cam.max(), 1e-12),
                        cmap='jet',
                        vmin=0,
                        vmax=1,
                        alpha=0.5,
                        interpolation='bilinear',
                        extent=(-0.5, width - 0.5, height - 0.5, -0.5),
                    )
        for row, name in enumerate(['picture', *(name for name, _ in found)]):
            grid[row, 0].set_ylabel(name, fontsize=9)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('runs', nargs='+', type=Path, metavar='RUN', help='folder of train.py')
    parser.add_argument('--data', type=Path, required=True, help='file of prepare.py')
    parser.add_argument('--out', type=Path, required=True, help='folder of the pictures')
    args = parser.parse_args()
    if len(args.runs) > len(DASHES):
        parser.error(f'{len(args.runs)} runs: at most {len(DASHES)} can be told apart')
    for file in (args.data, *(run / 'log.csv' for run in args.runs)):
        if not file.is_file():
            parser.error(f'{file}: there is no such file')
    args.out.mkdir(parents=True, exist_ok=True)
    save_figure(draw_curves(args.runs), args.out / 'curves.png')
    fields = {
        run.name: dict(np.load(run / 'erf.npz')) for run in args.runs if (run / 'erf.npz').is_file()
    }
    if fields:
        save_figure(draw_fields(fields), args.out / 'erf.png')
    seen = [run for run in args.runs if (run / 'gradcam.npz').is_file()]
    if seen:
        save_figure(draw_cams(seen, data.load(args.data)), args.out / 'gradcam.png')


if __name__ == '__main__':
    main()
