"""What a classifier looks at: class activation maps."""

from collections.abc import Mapping, Sequence

import torch

from ..attention.layers import Layer
from ..attention.maps import ActivationMaps, View
from .titles import title_of

FOCUS_STRIDE = 32


class ClassifierMaps(ActivationMaps):
    """Maps of the predicted class's logit."""

    text = 'The maps show what in the image speaks for the predicted class.'

    def default_layers(self, known: Mapping[str, Layer]) -> Sequence[str]:
        if 'focus' not in known:
            return [*known][-1:]
        single = max(self.subject.inputs(self.indices[0]).shape[2:]) <= FOCUS_STRIDE
        return ('c3', 'c4', 'focus') if single else ('c4', 'focus')

    def look(self, index: int) -> View:
        inputs = self.subject.inputs(index)
        with torch.enable_grad():
            logits = self.subject.model(inputs.requires_grad_(), mode='tensor')[0]
        predicted = int(logits.argmax())
        title = title_of(self.subject, index, predicted)
        return View(self.subject.shown(inputs), title, logits[predicted])
