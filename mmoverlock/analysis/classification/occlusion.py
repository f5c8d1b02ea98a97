"""What a classifier misses when it is covered."""

from pathlib import Path

import numpy as np
import torch
from matplotlib import colormaps

from mmoverlock.utils.datasets import spread_indices

from ..analysis import Analysis, Options
from ..extras import extra
from ..figures.picture_grid import Row, Tile, draw_grid
from ..figures.style import save_picture
from ..files import save_tensors
from ..measures.occlusion import occlusion_map, window_of
from ..progress import progress
from ..section import Picture, Section
from ..subject import Subject
from .titles import title_of

PICTURES = 6
OPACITY = 0.7
COLUMNS = 'what the model sees', 'fall of the logit', 'both'
FILE, PICTURE = 'occlusion_heatmap.pt', 'occlusion_heatmap.png'


class Occlusion(Analysis):
    """How much the predicted class's logit falls when a part of the picture is covered."""

    sees = False

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        extra('captum.attr')

    def finish(self) -> Section:
        subject, rows, maps = self.subject, [], {}
        chosen = spread_indices(len(subject.indices), PICTURES)
        for index in progress([subject.indices[i] for i in chosen], 'occlusion'):
            inputs = subject.inputs(index)
            with torch.no_grad():
                predicted = int(subject.model(inputs, mode='tensor').argmax())
            maps[index] = occlusion_map(self._logits, inputs, predicted)
            shown = subject.shown(inputs)
            pictures = shown, *_coloured(maps[index].numpy(), shown)
            tiles = [Tile(one, [name]) for one, name in zip(pictures, COLUMNS, strict=True)]
            rows.append(Row(title_of(subject, index, predicted), tiles))
            window = window_of(*inputs.shape[2:])
        save_tensors(self.folder / FILE, maps)
        save_picture(draw_grid(rows, len(COLUMNS)), self.folder / PICTURE)
        return Section(
            'Occlusion',
            dict(images=len(rows), window=f'{window} × {window} pixels'),
            [
                "A square in the image's median colour moves over it. Red is where covering "
                "lowers the predicted class's logit, blue where it raises it; white is no change. "
                f'{FILE} has the fall of the logit at each pixel, by image.'
            ],
            pictures=[Picture('Occlusion', PICTURE)],
            files=[FILE],
        )

    def _logits(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.subject.model(inputs, mode='tensor')


def _coloured(falls: np.ndarray, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A map from blue over white (0) to red; and the picture, tinted where values are large."""
    relative = falls / max(abs(falls).max(), 1e-12)
    colours = 255 * colormaps['bwr'](0.5 + 0.5 * relative)[..., :3]
    pure = np.where(relative[..., None] > 0, (255, 0, 0), (0, 0, 255))
    opacity = OPACITY * abs(relative)[..., None]
    both = opacity * pure + (1 - opacity) * picture
    return colours.round().astype(np.uint8), both.round().astype(np.uint8)
