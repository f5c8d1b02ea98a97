"""Do occlusion and class activation maps find a digit whose place is known?

    python benchmarks/known_place.py CHECKPOINT [--steps 2000] [--scenes 150] [--seed 0]

The quickstart's OverLoCK classifier, from its CHECKPOINT, learns to read one digit anywhere in a
picture; then, on scans that it has not seen, the share of the digits read right is counted whose
box, without a margin, has a map's peak in it. A peak lies in the middle of a position, and so a
box smaller than the layer's stride may have none in it: the share of boxes that do is the most
that can be reached.
"""

from __future__ import annotations

import argparse
import functools
import math
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import DefaultScope
from numpy.random import Generator
from torch import Tensor, nn

from mmoverlock.analysis.attention.layers import catching, find_layers, last_blocks
from mmoverlock.analysis.measures.activation_maps import METHODS, activation_maps, enlarged
from mmoverlock.analysis.measures.occlusion import occlusion_map
from mmoverlock.apis.loading import load_model
from mmoverlock.datasets import compose
from mmoverlock.datasets.digits_scenes import VAL_FRACTION, load_scans

CONFIG = Path(__file__).parents[1] / 'configs/quickstart/overlock-xxt_digits.py'
LAYERS = 'c2', 'c3', 'c4', 'focus'
DIGIT = 32, 64  # pixels
SIZES = 64, 96, 128  # of the pictures: each for a third of the training; the last is measured
BATCH, RATE = 24, 7e-4


load_scans = functools.cache(load_scans)


def scene(rng: Generator, size: int, chosen: np.ndarray) -> tuple[Tensor, int, np.ndarray]:
    """A bright digit somewhere on a dark, textured picture: the input, its class, its mask."""
    data, _ = load_scans(VAL_FRACTION, 0)
    compose.GLYPH_SIZE = DIGIT[0] / size, min(DIGIT[1] / size, 0.8)
    canvas = compose._textured(rng, size, 0.6 * compose._dark(rng), compose.BACKGROUND_TEXTURE)
    scan = rng.choice(chosen)
    alpha = compose._glyph(rng, size, data.images[scan].astype(np.float32) / 16)
    mask = alpha >= 0.5
    colour = compose._bright(rng, unlike=canvas[mask].mean(0))
    picture = compose._photograph(rng, compose._lay_over(rng, canvas, alpha, colour))
    inputs = (torch.from_numpy(picture).permute(2, 0, 1).float() - 77.8) / 95.9
    return inputs, int(data.target[scan]), mask


def train(model: nn.Module, chosen: np.ndarray, steps: int, seed: int) -> None:
    """The recipe's two losses, AdamW, and a cosine."""
    rng = np.random.default_rng(seed)
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=0.05)
    start = time.time()
    model.train()
    for step in range(steps):
        size = SIZES[step * len(SIZES) // steps]
        inputs, labels, _ = zip(*(scene(rng, size, chosen) for _ in range(BATCH)), strict=True)
        feats, labels = model.extract_feat(torch.stack(inputs)), torch.tensor(labels)
        loss = F.cross_entropy(model.head(feats), labels)
        loss = loss + 0.4 * F.cross_entropy(model.head.forward_aux(feats), labels)
        optimizer.param_groups[0]['lr'] = (
            RATE * min(1, (step + 1) / 20) * (1 + math.cos(math.pi * step / steps)) / 2
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10)
        optimizer.step()
        if step % 20 == 0:
            minutes = (time.time() - start) / 60
            print(f'step {step}, {size} pixels, loss {loss:.2f}, {minutes:.1f} min', flush=True)
    model.eval()


def measure(model: nn.Module, chosen: np.ndarray, scenes: int, seed: int) -> None:
    """Print the shares."""
    rng, size = np.random.default_rng(seed + 1), SIZES[-1]
    layers = find_layers(model, LAYERS, last_blocks(model.backbone))
    hits, possible, right = defaultdict(list), defaultdict(list), 0
    for _ in range(scenes):
        picture, label, mask = scene(rng, size, chosen)
        inputs = picture[None].requires_grad_()
        with catching(layers) as caught:
            logits = model(inputs, mode='tensor')[0]
        if logits.argmax() != label:
            continue
        right += 1
        places = [np.flatnonzero(mask.any(axis)) for axis in (1, 0)]
        box = [(one[0], one[-1]) for one in places]
        overlays = {}
        slopes = torch.autograd.grad(logits[label], [caught[layer.name] for layer in layers])
        for layer, slope in zip(layers, slopes, strict=True):
            found = activation_maps(caught[layer.name], slope)
            for method, one in found.items():
                overlays[layer.name, method] = enlarged(one, (size, size))
            stride = size // slope.shape[2]
            middles = np.arange(slope.shape[2]) * stride + (stride - 1) / 2
            possible[layer.name].append(
                all(((low <= middles) & (middles <= high)).any() for low, high in box)
            )
        overlays['pixels', 'occlusion'] = occlusion_map(
            lambda x: model(x, mode='tensor'), inputs.detach(), label
        ).numpy()
        for key, one in overlays.items():
            peak = [where.mean() for where in np.nonzero(one == one.max())]
            inside = [low <= at <= high for at, (low, high) in zip(peak, box, strict=True)]
            hits[key].append(all(inside))
    print(f'{right} of {scenes} digits are read right')
    for layer in LAYERS:
        shares = ', '.join(f'{method} {np.mean(hits[layer, method]):.1%}' for method in METHODS)
        print(f'{layer}: {shares}; at most {np.mean(possible[layer]):.1%}')
    print(f'occlusion: {np.mean(hits["pixels", "occlusion"]):.1%}')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('checkpoint', help=f'of {CONFIG.name}')
    parser.add_argument('--steps', type=int, default=2000, help='of training')
    parser.add_argument('--scenes', type=int, default=150, help='to measure')
    parser.add_argument('--seed', type=int, default=0, help='of training and measuring')
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model, _ = load_model(Config.fromfile(CONFIG), args.checkpoint, merge=False)
    _, (seen, unseen) = load_scans(VAL_FRACTION, 0)
    train(model, seen, args.steps, args.seed)
    measure(model, unseen, args.scenes, args.seed)


if __name__ == '__main__':
    main()
