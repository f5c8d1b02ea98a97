"""Occlusion and class activation maps find a digit whose place is known."""

import functools

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmoverlock.analysis.measures.activation_maps import METHODS, activation_maps, enlarged
from mmoverlock.analysis.measures.occlusion import occlusion_map
from mmoverlock.datasets.digits_scenes import VAL_FRACTION, load_scans

SIZE, STEPS, SCENES = 64, 160, 50
LEAST = 0.9  # of the scenes whose digit is read right


load_scans = functools.cache(load_scans)


def compose(rng: np.random.Generator, split: int) -> tuple:
    """A bright digit somewhere on a dark, noisy picture; its class and its box."""
    data, splits = load_scans(VAL_FRACTION, 0)
    scan = rng.choice(splits[split])
    side = int(rng.integers(28, 36))
    x, y = rng.integers(0, SIZE - side + 1, 2)
    picture = rng.uniform(0, 0.3) + 0.1 * rng.standard_normal((SIZE, SIZE))
    glyph = cv2.resize(data.images[scan] / 16, (side, side), interpolation=cv2.INTER_CUBIC).clip(
        0, 1
    )
    place = picture[y : y + side, x : x + side]
    place += glyph * (rng.uniform(0.7, 1) - place)
    ys, xs = np.nonzero(glyph > 0.5)
    box = x + xs.min(), y + ys.min(), x + xs.max(), y + ys.max()
    return picture.astype(np.float32), data.target[scan], box


class Reader(nn.Module):
    """A small classifier; its last map has stride 8."""

    def __init__(self):
        super().__init__()
        widths = 1, 16, 32, 48, 64, 64
        self.layers = nn.Sequential()
        for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
            stride = 2 if i < 3 else 1
            conv = nn.Conv2d(before, after, 3, stride, 1, bias=False)
            self.layers.extend([conv, nn.BatchNorm2d(after), nn.ReLU()])
        self.head = nn.Linear(widths[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layers(x).mean((2, 3)))


@pytest.fixture(scope='module')
def reader() -> Reader:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    scenes = [compose(rng, 0) for _ in range(1200)]
    pictures = torch.from_numpy(np.stack([one for one, _, _ in scenes]))[:, None]
    labels = torch.tensor([label for _, label, _ in scenes])
    model = Reader()
    optimizer = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 6e-3, total_steps=STEPS)
    for _ in range(STEPS):
        chosen = torch.from_numpy(rng.integers(len(scenes), size=40))
        optimizer.zero_grad()
        F.cross_entropy(model(pictures[chosen]), labels[chosen]).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def test_peaks(reader):
    """The peaks lie in the digit's box, of which chance would hit a fifth at most."""
    rng = np.random.default_rng(1)
    hits = {method: [] for method in (*METHODS, 'occlusion')}
    areas = []
    for _ in range(SCENES):
        picture, label, box = compose(rng, 1)
        inputs = torch.from_numpy(picture)[None, None]
        maps = reader.layers(inputs)
        logits = reader.head(maps.mean((2, 3)))[0]
        if logits.argmax() != label:
            continue
        (slopes,) = torch.autograd.grad(logits[label], maps)
        found = activation_maps(maps, slopes)
        overlays = {name: enlarged(one, (SIZE, SIZE)) for name, one in found.items()}
        overlays['occlusion'] = occlusion_map(reader, inputs, int(label)).numpy()
        for name, overlay in overlays.items():
            ys, xs = np.nonzero(overlay == overlay.max())
            x, y = xs.mean(), ys.mean()
            hits[name].append(box[0] <= x <= box[2] and box[1] <= y <= box[3])
        areas.append((box[2] - box[0] + 1) * (box[3] - box[1] + 1) / SIZE**2)
    shares = {name: np.mean(found) for name, found in hits.items()}
    assert len(areas) >= LEAST * SCENES
    assert np.mean(areas) < 0.2
    assert all(share >= LEAST for share in shares.values()), shares
