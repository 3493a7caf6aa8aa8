"""How far apart the largest and the smallest of several means may lie by chance: quantiles of the studentised range.

By sums over Gauss and Legendre's nodes (the double integral of Lund and Lund 1983, AS 190) and scipy's normal distribution.
`scipy.stats` has the same, and loading it takes a page's process 60 MB; a test holds the two together.
"""

from __future__ import annotations

from functools import cache

import numpy as np

NODES = 240
MOST_MEANS, MOST_FREEDOM = 100, 1000  # beyond these a quantile hardly moves
WIDEST = 1000.0  # standard errors; more than any quantile up to the 99 %
Curve = np.ndarray


@cache
def quantile(level: float, means: int, freedom: int) -> float:
    """The range of `means` independent normal means, in standard errors that are estimated with `freedom` degrees of freedom,
    that is not exceeded with probability `level`. Raises `ValueError` for fewer than two means or no freedom."""
    if means < 2 or freedom < 1 or not 0 < level < 1:
        raise ValueError("A range needs two means, a degree of freedom and a level between 0 and 1.")
    means, freedom = min(means, MOST_MEANS), min(freedom, MOST_FREEDOM)
    low, high = 0.0, WIDEST
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _below(middle, means, freedom) < level else (low, middle)
    return high


def _below(width: float, means: int, freedom: int) -> float:
    """The probability that the studentised range is below `width`: over what the estimate of the spread may be. Its logarithm x has
    the density exp(ν x − ν e²ˣ / 2), up to a factor."""
    x, weight = _nodes(-24 / freedom**0.5, 6 / freedom**0.5)
    density = weight * np.exp(freedom * (x - np.expm1(2 * x) / 2))
    return float(density @ _range_below(width * np.exp(x), means) / density.sum())


def _range_below(widths: Curve, means: int) -> Curve:
    """The same for each of several widths where the spread is known: over where the largest mean lies."""
    from scipy.special import ndtr

    z, weight = _nodes(-9.0, 9.0)
    density = weight * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
    between = ndtr(z) - ndtr(z - widths[:, None])
    return means * (between ** (means - 1)) @ density


def _nodes(low: float, high: float) -> tuple[Curve, Curve]:
    at, weight = _legendre()
    return low + (high - low) * (at + 1) / 2, weight * (high - low) / 2


@cache
def _legendre() -> tuple[Curve, Curve]:
    return np.polynomial.legendre.leggauss(NODES)
