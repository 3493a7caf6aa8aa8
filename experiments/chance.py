"""How far numbers lie apart by chance alone: quantiles of Student's t and of the studentised range, by numpy.

The double integral of Lund and Lund (1983, AS 190), summed over Gauss and Legendre's nodes. scipy has both, but loading its
`special` takes a page's process 30 MB and its `stats` 80: there is no other use for them there. Tests hold them together.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np

NODES = 240
MOST_MEANS = 100  # beyond that a quantile hardly moves
WIDEST = 1000.0  # standard errors; more than any quantile up to the 99 %
Curve = np.ndarray
_erf = np.vectorize(math.erf, otypes=[float])


def student(level: float, freedom: float) -> float:
    """Half the width of Student's interval, in standard errors: what |t| stays below with probability `level`."""
    return studentised_range(level, 2, freedom) / math.sqrt(2)  # two means' range is their difference


@cache
def studentised_range(level: float, means: int, freedom: float) -> float:
    """The range of `means` independent normal means, in standard errors that are estimated with `freedom` degrees of freedom,
    that is not exceeded with probability `level`. Raises `ValueError` for fewer than two means or no freedom."""
    if means < 2 or freedom < 1 or not 0 < level < 1:
        raise ValueError("A range needs two means, a degree of freedom and a level between 0 and 1.")
    low, high = 0.0, WIDEST
    while high - low > 1e-8 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _below(middle, min(means, MOST_MEANS), freedom) < level else (low, middle)
    return high


def _below(width: float, means: int, freedom: float) -> float:
    """The probability that the studentised range is below `width`: over what the estimate of the spread may be. Its logarithm x has
    the density exp(ν x − ν e²ˣ / 2), up to a factor."""
    x, weight = _nodes(-24 / math.sqrt(freedom), 6 / math.sqrt(freedom))
    density = weight * np.exp(freedom * (x - np.expm1(2 * x) / 2))
    some = density > 1e-14 * density.max()
    return float(density[some] @ _range_below(width * np.exp(x[some]), means) / density[some].sum())


def _range_below(widths: Curve, means: int) -> Curve:
    """The same for each of several widths where the spread is known: over where the largest mean lies."""
    if means == 2:
        return _erf(widths / 2)
    z, weight = _nodes(-9.0, 9.0)
    density = weight * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    between = (_erf(z / math.sqrt(2)) - _erf((z - widths[:, None]) / math.sqrt(2))) / 2
    return means * (between ** (means - 1)) @ density


def _nodes(low: float, high: float) -> tuple[Curve, Curve]:
    at, weight = _legendre()
    return low + (high - low) * (at + 1) / 2, weight * (high - low) / 2


@cache
def _legendre() -> tuple[Curve, Curve]:
    return np.polynomial.legendre.leggauss(NODES)
