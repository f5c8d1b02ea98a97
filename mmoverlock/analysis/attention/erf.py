"""The effective receptive field of a backbone's stages: ``erf.pt`` and ``erf.png``."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from mmoverlock.apis.loading import load_model
from mmoverlock.utils.datasets import spread_indices
from mmoverlock.utils.models import library_of

from ..analysis import Analysis, Options, Unsuitable
from ..benchmark.synthetic import image_size
from ..figures.receptive_fields import draw_fields
from ..figures.style import save_figure
from ..files import save_tensors
from ..measures.receptive_field import THRESHOLDS, area_shares, receptive_fields
from ..progress import progress
from ..section import Picture, Section, Table
from ..subject import Subject
from .layers import Layer, as_map, catching, last_blocks, short_names

PICTURES = 6
ENLARGED, CELLS, LARGEST = 4, 64, 512
FILE, PICTURE = 'erf.pt', 'erf.png'


class ReceptiveField(Analysis):
    """The field of each stage, for the checkpoint and one to compare with.

    Raises:
        ValueError, OSError: the other checkpoint does not belong to the config.
        Unsuitable: the backbone gives no maps.
    """

    sees = False

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        cfg = subject.cfg
        self.side = field_size(image_size(cfg, library_of(subject.model))[0])
        self.models = {subject.checkpoint: subject.model}
        if options.compare:
            with DefaultScope.overwrite_default_scope(cfg.get('default_scope')):
                other, _ = load_model(cfg, options.compare)
            self.models[options.compare] = other.to(subject.device)
        chosen = spread_indices(len(subject.indices), PICTURES)
        self.indices = [subject.indices[i] for i in chosen]
        self.layers = {path: self._stages(model) for path, model in self.models.items()}

    def _stages(self, model: nn.Module) -> list[Layer]:
        picture = self._input(self.indices[0])
        backbone = _backbone(model)
        # The sum of a layer norm's channels is nearly constant: no output of it is measured here.
        known = last_blocks(backbone)
        if not known:
            with torch.no_grad():
                known = short_names(backbone, lambda: backbone(picture), picture.shape[2:])
        stages = [one for name, one in known.items() if name not in ('focus', 'overview')]
        if not stages:
            raise Unsuitable(f'{type(backbone).__name__} gives no maps')
        return stages

    def _input(self, index: int) -> Tensor:
        """A picture as the model gets it, in the size of the measurement."""
        inputs = self.subject.inputs(index)
        return F.interpolate(inputs, (self.side, self.side), mode='bilinear', antialias=True)

    def _maps(self, path: str, inputs: Tensor) -> Mapping[str, Tensor]:
        with catching(self.layers[path]) as caught:
            _backbone(self.models[path])(inputs)
        return {name: as_map(one, inputs.shape[2:]) for name, one in caught.items()}

    def finish(self) -> Section:
        fields = {
            path: receptive_fields(
                partial(self._maps, path), map(self._input, progress(self.indices, 'erf'))
            )
            for path in self.models
        }
        labels = dict(zip(fields, _short(list(fields)), strict=True))
        shares = {
            path: {stage: area_shares(field) for stage, field in found.items()}
            for path, found in fields.items()
        }
        stored = {
            path: {stage: torch.from_numpy(field).float() for stage, field in found.items()}
            for path, found in fields.items()
        }
        save_tensors(self.folder / FILE, stored)
        named = {labels[path]: found for path, found in fields.items()}
        save_figure(draw_fields(named), self.folder / PICTURE)
        tables = [_table(labels[path], shares[path]) for path in fields]
        deepest = list(shares[self.subject.checkpoint].items())[-1]
        return Section(
            'Effective receptive field',
            {
                'input': f'{self.side} × {self.side}',
                'images': len(self.indices),
                f'area of 99% ({deepest[0]})': deepest[1][-1][1],
            },
            [
                "How much each pixel of the input changes a stage's centre: the absolute gradient "
                'of the sum of the channels there, averaged over images resized to '
                f'{self.side} × {self.side} pixels. Compare figures of one input size only.'
            ],
            tables,
            [
                Picture(
                    'Effective receptive field',
                    PICTURE,
                    'Contributions on a logarithmic scale, each stage by its own largest; the '
                    'squares are the smallest that hold more than 50% and 99%.',
                )
            ],
            [FILE],
        )


def field_size(tested: tuple[int, int]) -> int:
    """Side of the input on which fields are measured, for a config that tests at a size.

    Four times that size, but 512 at most, so that the border of the picture does not cut the field
    off too early, and a multiple of 64, so that maps of stride 32 and less have an even number of
    positions and that at H // 2 belongs to the input's centre.
    """
    side = min(ENLARGED * max(tested), LARGEST)
    return -(-side // CELLS) * CELLS


def _backbone(model: nn.Module) -> nn.Module:
    return getattr(model, 'backbone', model)


def _short(paths: list[str]) -> list[str]:
    """Files' names, with their folders where the names are the same."""
    names = [Path(path).name for path in paths]
    return names if len({*names}) == len(names) else paths


def _table(label: str, shares: Mapping[str, list[tuple[int, float]]]) -> Table:
    columns = ['stage']
    for threshold in THRESHOLDS:
        columns += [f'area of {threshold:.0%}', f'side of {threshold:.0%}']
    rows = [
        [stage, *(cell for side, area in found for cell in (area, side))]
        for stage, found in shares.items()
    ]
    note = (
        'The smallest square around the centre that holds more than this share of all '
        "contributions: its share of the input's area, and its side in pixels."
    )
    return Table(f'High-contribution area, {label}', columns, rows, note)
