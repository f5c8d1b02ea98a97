"""The proof that an exported file computes what the model does, on pictures."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from mmoverlock.runtime.spec import Normalize, Spec
from mmoverlock.utils.errors import one_line

from .agreement import COMPARE, Line
from .formats import LEAST
from .pictures import batch

Shape = tuple[int, int, int]  # batch, height, width
PICTURES = 4


@dataclass(frozen=True)
class Case:
    """An input, and what PyTorch says about it with the kernels that it usually takes."""

    image: np.ndarray
    expected: dict[str, np.ndarray]


def shapes(example: Shape, dynamic: bool) -> list[Shape]:
    """Batch, height and width of inputs to try: the example's, or three others and the least."""
    _, height, width = example
    if not dynamic:
        return [example] * 2
    sizes = [
        (1, 3 * height // 4 + 1, width // 2 + 3),
        (3, 3 * width // 4, height),
        (1, height // 2, 7 * width // 8 + 5),
        (2, LEAST, LEAST),
    ]
    return [(number, max(h, LEAST), max(w, LEAST)) for number, h, w in sizes]


def cases(
    module: nn.Module, spec: Spec, found: list[np.ndarray], wanted: list[Shape]
) -> list[Case]:
    """
    Args:
        module: What will be exported, in float32.
        spec: Of it. What it leaves to the caller is done to the pictures, but for their sizes.
        found: Pictures (H, W, 3) uint8 in RGB.
        wanted: Shapes of the inputs.
    """
    made = []
    for index, shape in enumerate(wanted):
        image = batch(found, shape, spec.channels, first=index)
        for step in spec.before:
            if isinstance(step, Normalize):
                mean, std = (np.reshape(one, (-1, 1, 1)) for one in (step.mean, step.std))
                image = ((image - mean) / std).astype(np.float32)
        with torch.no_grad():
            results = module(torch.from_numpy(image))
        made.append(Case(image, _arrays(module.outputs, results)))
    return made


def _arrays(names: tuple[str, ...], results: tuple[Tensor, ...]) -> dict[str, np.ndarray]:
    return {name: one.numpy() for name, one in zip(names, results, strict=True)}


def verify(
    run: Callable[[np.ndarray], dict[str, np.ndarray]],
    task: str,
    made: list[Case],
    tolerance: float,
) -> list[Line]:
    """Run the file on all cases; the worst difference of each output, and the sums of counts.

    Args:
        run: From an input to outputs by name.
        task: Of the model.
        made: With what is expected.
        tolerance: See :mod:`.agreement`.

    Raises:
        RuntimeError: if the file cannot run on an input.
    """
    total: dict[str, Line] = {}
    for case in made:
        try:
            actual = run(case.image)
        except Exception as error:  # whatever a runtime raises
            shape = '×'.join(map(str, case.image.shape))
            reason = f'{type(error).__name__}: {one_line(error)[:300]}'
            raise RuntimeError(f'it does not run on an input of {shape}: {reason}') from error
        for line in COMPARE[task](case.expected, actual, tolerance):
            total[line.name] = total[line.name].joined(line) if line.name in total else line
    return list(total.values())
