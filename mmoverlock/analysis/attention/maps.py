"""Class activation maps of some pictures: ``gradcam.pt`` and ``gradcam_overlay.png``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmoverlock.utils.datasets import spread_indices
from mmoverlock.utils.errors import shown

from ..analysis import Analysis, Options, Unsuitable
from ..extras import extra
from ..figures.picture_grid import Row, Tile, draw_grid
from ..figures.style import save_picture
from ..files import save_tensors
from ..measures.activation_maps import METHODS, activation_maps, enlarged
from ..progress import progress
from ..section import Picture, Section, Table
from ..subject import Subject
from .layers import Layer, as_map, catching, find_layers, short_names

PICTURES = 6
FILE, OVERLAY = 'gradcam.pt', 'gradcam_overlay.png'
Maps = dict[str, dict[str, Tensor]]


@dataclass(frozen=True)
class View:
    """A picture as a model sees it.

    Attributes:
        picture: (H, W, 3) uint8 RGB, of the input's size.
        title: Its name, and what the model says of it.
        score: The number whose gradients are wanted, if any.
        draw: Draws what the model found into a picture of this size.
    """

    picture: np.ndarray
    title: str
    score: Tensor | None = None
    draw: Callable[[np.ndarray], np.ndarray] = lambda picture: picture


class ActivationMaps(Analysis):
    """Grad-CAM, Grad-CAM++ and EigenCAM of a task's models; a task says what is to be explained.

    Raises:
        ValueError: a layer does not exist, gives no map, or has no part in the score.
        Unsuitable: none is named, and the model has none.
    """

    sees = False
    text = ''

    def __init__(self, subject: Subject, folder: Path, options: Options):
        super().__init__(subject, folder, options)
        extra('pytorch_grad_cam')
        chosen = spread_indices(len(subject.indices), PICTURES)
        self.indices = [subject.indices[i] for i in chosen]
        first = self.indices[0]
        size = subject.inputs(first).shape[2:]
        known = short_names(subject.model, lambda: self.look(first), size)
        names = options.layers or self.default_layers(known)
        if not names:
            kind = type(getattr(subject.model, 'backbone', subject.model)).__name__
            raise Unsuitable(f'{kind} gives no map: name a layer')
        self.layers = find_layers(subject.model, names, known)
        if not options.layers:
            self.layers = self._used(first)
            if not self.layers:
                raise Unsuitable(f'no map of {shown(names)} has a part in the score: name a layer')
        _, maps, self.shapes = self.explain(first)
        self.methods = [*next(iter(maps.values()))]

    def _used(self, index: int) -> list[Layer]:
        """Those of the layers that have a part in the score: a head may leave maps out."""
        with catching(self.layers) as caught:
            score = self.look(index).score
        if score is None:
            return self.layers
        slopes = torch.autograd.grad(score, [*caught.values()], allow_unused=True)
        used = [name for name, slope in zip(caught, slopes, strict=True) if slope is not None]
        return [layer for layer in self.layers if layer.name in used]

    def default_layers(self, known: Mapping[str, Layer]) -> Sequence[str]:
        """Of the short names, those whose maps are shown unless the user names layers."""
        raise NotImplementedError

    def look(self, index: int) -> View:
        """Run the model on a picture."""
        raise NotImplementedError

    def explain(self, index: int) -> tuple[View, Maps, dict[str, torch.Size]]:
        """The maps of a picture by layer and method, and the layers' shapes."""
        with catching(self.layers) as caught:
            view = self.look(index)
        size = view.picture.shape[:2]
        for layer in self.layers:
            found = caught.get(layer.name)
            if found is None or as_map(found, size) is None:
                what = 'no tensor' if found is None else f'{tuple(found.shape)}, no map'
                raise ValueError(f"layer '{layer.name}' gives {what}: name another layer")
        slopes: Sequence[Tensor | None] = [None] * len(self.layers)
        if view.score is not None:
            wanted = [caught[layer.name] for layer in self.layers]
            slopes = torch.autograd.grad(view.score, wanted, allow_unused=True)
        maps, shapes = {}, {}
        for layer, slope in zip(self.layers, slopes, strict=True):
            if view.score is not None and slope is None:
                raise ValueError(f"layer '{layer.name}' has no part in the score: name another")
            activations = as_map(caught[layer.name], size)
            gradients = None if slope is None else as_map(slope, size)
            methods = ('EigenCAM',) if gradients is None else METHODS
            maps[layer.name] = activation_maps(activations, gradients, methods)
            shapes[layer.name] = activations.shape[1:]
        return view, maps, shapes

    def finish(self) -> Section:
        rows, stored = [], {}
        columns = [
            (layer.name, method)
            for layer in self.layers
            for method in self.methods
            if self.shapes[layer.name][1:].numel() > 1
        ]
        for index in progress(self.indices, 'gradcam'):
            view, maps, _ = self.explain(index)
            for layer, found in maps.items():
                for method, one in found.items():
                    stored.setdefault(method, {}).setdefault(layer, {})[index] = one
            tiles = [Tile(view.draw(view.picture), ['what the model sees'])]
            tiles += [
                Tile(self._overlay(view, maps[layer][method]), [f'{layer}, {method}'])
                for layer, method in columns
            ]
            rows.append(Row(view.title, tiles))
        save_tensors(self.folder / FILE, stored)
        save_picture(draw_grid(rows, 1 + len(columns)), self.folder / OVERLAY)
        return self._section()

    def _section(self) -> Section:
        modules = {module: name for name, module in self.subject.model.named_modules()}
        rows = [
            [layer.name, modules[layer.module], *self.shapes[layer.name]] for layer in self.layers
        ]
        single = [name for name, shape in self.shapes.items() if shape[1:].numel() == 1]
        text = [
            self.text,
            f'Red is where a map is highest. {FILE} has the maps by method, layer and image, as '
            'large as the layer is.',
        ]
        if single:
            text.append(
                f'Not drawn: {", ".join(single)}, which has a single position for inputs of this '
                'size, and so cannot say where something is.'
            )
        return Section(
            'Class activation maps',
            dict(images=len(self.indices), methods=', '.join(self.methods)),
            text,
            [Table('Layers', ['layer', 'module', 'channels', 'height', 'width'], rows)],
            [Picture('Class activation maps', OVERLAY)],
            [FILE],
        )

    def _overlay(self, view: View, one: Tensor) -> np.ndarray:
        show = extra('pytorch_grad_cam.utils.image').show_cam_on_image
        mask = enlarged(one, view.picture.shape[:2])
        return view.draw(show(view.picture.astype(np.float32) / 255, mask, use_rgb=True))
