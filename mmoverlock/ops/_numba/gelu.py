"""Exact GELU (arXiv 1606.08415) on vectors, x · Φ(x) with the normal distribution Φ.

Φ(x) = 1/2 + x · R(x²), where R is smooth: a polynomial, up to a limit from which on Φ(x) is 0 or 1,
or as good as that. Limits and degrees are such that most of the error is rounding; of a pair, one
is for float32 and one for float64.
"""

import math

import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

from .compile import jit
from .simd import at_least, at_most, exp, fma, full, mul, polynomial

LIMITS, DEGREES = (5.5, 8.3), (15, 32)
DENSITY = 1 / math.sqrt(2 * math.pi)  # of the normal distribution at 0


def _coefficients(limit: float, degree: int) -> tuple[float, ...]:
    """R as a polynomial in s, which runs from -1 at x = 0 to 1 at the limit."""

    def ratio(s: float) -> float:
        x = limit * math.sqrt((s + 1) / 2)
        return math.erf(x / math.sqrt(2)) / (2 * x)

    series = Chebyshev.interpolate(np.vectorize(ratio), degree)
    return tuple(map(float, series.convert(kind=Polynomial).coef))


SINGLE, DOUBLE = map(_coefficients, LIMITS, DEGREES)
HIGH = tuple((limit,) for limit in LIMITS)  # constants, as polynomials of degree 0
LOW = tuple((-limit,) for limit in LIMITS)
STEEP = tuple((2 / limit**2,) for limit in LIMITS)


@jit
def normal(x):
    """Φ of every lane."""
    inside = at_most(at_least(x, polynomial(x, LOW[0], LOW[1])), polynomial(x, HIGH[0], HIGH[1]))
    s = fma(mul(inside, inside), polynomial(x, STEEP[0], STEEP[1]), full(x, -1.0))
    return fma(inside, polynomial(s, SINGLE, DOUBLE), full(x, 0.5))


@jit
def gelu(x):
    """GELU of every lane."""
    # Far to the left, Φ is as good as 0, but x · Φ is not.
    return mul(at_least(x, polynomial(x, LOW[0], LOW[1])), normal(x))


@jit
def gelu_and_slope(x):
    """GELU of every lane, and its derivative Φ(x) + x · Φ'(x)."""
    bell = exp(mul(mul(x, x), full(x, -0.5)))
    return gelu(x), fma(mul(x, full(x, DENSITY)), bell, normal(x))
