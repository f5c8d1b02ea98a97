"""What a segmentor looks at: class activation maps of one of the classes that it predicts."""

from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import torch

from ..attention.layers import Layer
from ..attention.maps import ActivationMaps, View


class SegmentorMaps(ActivationMaps):
    """Maps of a class's mean logit over the pixels predicted as it.

    It is the class with most pixels, but for one named background.
    """

    text = (
        "The maps show what speaks for the outlined pixels' class: its logit's mean over them is "
        'explained. Of each image it is the largest class but the background.'
    )

    def default_layers(self, known: Mapping[str, Layer]) -> Sequence[str]:
        return [name for name in known if name[0] == 'c'][-2:] or [*known][-1:]

    def look(self, index: int) -> View:
        subject = self.subject
        inputs = subject.inputs(index)
        size = tuple(inputs.shape[2:])
        meta = dict(img_shape=size, pad_shape=size, ori_shape=size)
        with torch.enable_grad():
            logits = subject.model.encode_decode(inputs.requires_grad_(), [meta])[0]
        if len(logits) == 1:  # one logit for two classes
            labels = (logits[0].sigmoid() > subject.model.decode_head.threshold).long()
            logits = torch.cat([-logits, logits])
        else:
            labels = logits.argmax(0)
        counts = torch.bincount(labels.flatten(), minlength=len(logits)).tolist()
        names = subject.classes
        order = sorted(range(len(counts)), key=lambda i: counts[i], reverse=True)
        found = [i for i in order if counts[i] and names[i] != 'background']
        chosen = (found or order)[0]
        mask = labels == chosen
        outline = mask.cpu().numpy().astype(np.uint8)

        def draw(picture: np.ndarray) -> np.ndarray:
            picture = picture.copy()
            contours, _ = cv2.findContours(outline, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
            return cv2.drawContours(picture, contours, -1, (255, 255, 255), 1)

        title = f'{subject.name(index)}: {names[chosen]}, {mask.float().mean():.1%} of the pixels'
        return View(subject.shown(inputs), title, logits[chosen][mask].mean(), draw)
