"""How far results are from those that are expected."""

from collections.abc import Mapping

import numpy as np

ZERO = 1e-9  # of the largest gradient: a gradient that in theory is zero, as a norm follows


def largest_error(
    results: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]
) -> tuple[float, str]:
    """The largest error, relative to the largest magnitude of its array, and that array's name.

    Gradients have names that begin with 'grad'. The errors of those that in theory are zero are
    relative to the largest magnitude of all gradients.

    Raises:
        ValueError: the names or the shapes differ.
    """
    if expected.keys() != results.keys():
        raise ValueError(f'not in both: {sorted(expected.keys() ^ results.keys())}')
    grads = [abs(x).max() for name, x in expected.items() if name.startswith('grad')]
    largest = max(grads, default=0)
    errors = {}
    for name, wanted in expected.items():
        if results[name].shape != wanted.shape:
            raise ValueError(f'{name} is {results[name].shape}, not {wanted.shape}')
        scale = abs(wanted).max()
        if name.startswith('grad') and scale < ZERO * largest:
            scale = largest
        errors[name] = float(abs(results[name] - wanted).max() / scale)
    worst = max(errors, key=errors.get)
    return errors[worst], worst
