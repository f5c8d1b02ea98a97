"""What the page shows: models run once on a picture; a slider changes only the drawing."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmoverlock.apis import Inferencer
from mmoverlock.utils.errors import one_line

MOST = 20  # classes of a classifier
Row = list[str | float | int]


@dataclass(frozen=True)
class Control:
    """The slider of a task; its value goes into :meth:`Viewer.show`."""

    label: str
    start: float
    step: float
    least: float = 0
    most: float = 1


CONTROLS = {
    'classification': Control('Number of classes', 5, 1, 1, MOST),
    'detection': Control('Score threshold', 0.3, 0.01),
    'segmentation': Control('Opacity', 0.6, 0.05),
}
HEADINGS = {
    'classification': ['class', 'score'],
    'detection': ['class', 'score', 'x1', 'y1', 'x2', 'y2'],
    'segmentation': ['class', 'share'],
}


@dataclass(frozen=True)
class Found:
    """A picture (H, W, 3) in BGR, and what each model says about it."""

    picture: np.ndarray
    results: list[dict[str, Any]]


class Viewer:
    """One model, or several of one task side by side.

    Args:
        config: Of the first model, or its file.
        checkpoint: Of the first model.
        others: Configs and checkpoints of those that it is compared with.
        device: 'cpu', 'cuda' or 'cuda:N'; by default a GPU if there is one.
        merge: Merge the large-kernel branches, which is faster and exact.

    Raises:
        ValueError, OSError: as :class:`~mmoverlock.apis.Inferencer`, or if the tasks differ.

    Attributes:
        task: 'classification', 'detection' or 'segmentation'.
        names: Of the models, each different.
    """

    def __init__(
        self,
        config: Any,
        checkpoint: str | os.PathLike,
        *others: tuple[Any, str | os.PathLike],
        device: str | None = None,
        merge: bool = True,
    ):
        pairs = [(config, checkpoint), *others]
        self.models = [Inferencer(*pair, device, MOST, 0.0, merge) for pair in pairs]
        self.task = self.models[0].task
        for model, (_, path) in zip(self.models, pairs, strict=True):
            if model.task != self.task:
                raise ValueError(
                    f"'{path}' is for {model.task}, '{checkpoint}' for {self.task}: "
                    'only models of one task can be compared'
                )
        self.names = _names([str(path) for _, path in pairs])

    @property
    def control(self) -> Control:
        control = CONTROLS[self.task]
        if self.task != 'classification':
            return control
        most = min(MOST, max(len(model.classes) for model in self.models) or MOST)
        start = min(control.start, most)
        return Control(control.label, start, control.step, control.least, max(most, 2))

    @property
    def headings(self) -> list[str]:
        return HEADINGS[self.task]

    def look(self, path: str | os.PathLike) -> Found:
        """Run every model on a picture.

        Raises:
            ValueError: in one line that names the file but not its folder, which is the server's.
        """
        path = Path(path)
        try:
            # The models may read a picture differently: its orientation, its number of bits.
            pictures = [model.read(path) for model in self.models]
            results = [m.predict(one) for m, one in zip(self.models, pictures, strict=True)]
        except ValueError as error:
            raise ValueError(one_line(error).replace(str(path), path.name)) from error
        return Found(pictures[0], results)

    def show(self, found: Found, value: float) -> list[tuple[np.ndarray, list[Row]]]:
        """For each model the drawn picture, (H, W, 3) in RGB, and the rows of its table.

        Args:
            found: Of :meth:`look`.
            value: Of the slider: a detector's least score, the number of a classifier's classes, or
                the opacity of a segmentor's colours.
        """
        shown = []
        for model, result in zip(self.models, found.results, strict=True):
            opacity = value if self.task == 'segmentation' else None
            result = _limited(result, value)
            drawn = model.draw(found.picture, result, opacity)
            shown.append((np.ascontiguousarray(drawn[..., ::-1]), _rows(result)))
        return shown


def _limited(result: dict[str, Any], value: float) -> dict[str, Any]:
    if 'top' in result:
        return dict(top=result['top'][: int(value)])
    if 'objects' in result:
        return dict(objects=[one for one in result['objects'] if one['score'] >= value])
    return result


def _rows(result: dict[str, Any]) -> list[Row]:
    found = result.get('top') or result.get('objects') or result.get('classes') or []
    return [
        [
            one['name'],
            f'{one["score"]:.3f}' if 'score' in one else f'{one["share"]:.1%}',
            *(round(side) for side in one.get('box', ())),
        ]
        for one in found
    ]


def _names(paths: list[str]) -> list[str]:
    """The files' names if these differ, else their paths."""
    names = [Path(path).name for path in paths]
    return names if len(set(names)) == len(names) else paths
