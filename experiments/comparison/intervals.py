"""How sure a number is, and whether two methods can be told apart. Pure.

A method has a number for every seed and every held-out item, V[s, i] (S seeds, N items). Both are samples: other seeds and other
rows would have given other numbers. The variance of the mean over both is taken as that of the items' means over N plus that of
the seeds' means over S, with the degrees of freedom of Satterthwaite (1946) for a sum of variances; what the two share is counted
twice, so an interval is rather too wide than too narrow. Two methods are compared by the same on V_a − V_b, item by item and seed by
seed (a paired comparison: both learnt from the same batches and are asked the same rows), which takes out how hard an item is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, variance

from pydantic import BaseModel, ConfigDict

from experiments import chance

LEVEL = 0.95
Table = Sequence[Sequence[float]]
"""A row a seed, a column an item."""


class Number(BaseModel):
    """A mean with half of its interval. `half_width` None: nothing was repeated, so how sure it is is not known; 0 with
    `is_exact`: counted, not sampled."""

    model_config = ConfigDict(frozen=True)
    mean: float
    half_width: float | None = None
    is_exact: bool = False

    @property
    def low(self) -> float:
        return self.mean - (self.half_width or 0.0)

    @property
    def high(self) -> float:
        return self.mean + (self.half_width or 0.0)

    @property
    def holds_zero(self) -> bool:
        """Whether zero lies within it; also where nothing is known of its width."""
        return self.half_width is None or self.low <= 0 <= self.high


def crossed(values_SN: Table, level: float = LEVEL) -> Number | None:
    """The mean over seeds and items with its interval; None where there is no item."""
    if not values_SN or not values_SN[0]:
        return None
    seeds = [fmean(row) for row in values_SN]
    items = [fmean(column) for column in zip(*values_SN, strict=True)]
    parts = [(variance(means) / len(means), len(means) - 1) for means in (items, seeds) if len(means) > 1]
    return Number(mean=fmean(seeds), half_width=_half_width(parts, level))


def paired(a_SN: Table, b_SN: Table, level: float = LEVEL) -> Number | None:
    """The mean of a − b over the items and seeds that both have, with its interval. One table with a single seed (a method that no
    seed changes) stands against each of the other's."""
    if not a_SN or not b_SN:
        return None
    count = max(len(a_SN), len(b_SN)) if 1 in (len(a_SN), len(b_SN)) else min(len(a_SN), len(b_SN))
    rows = [(a_SN[s if len(a_SN) > 1 else 0], b_SN[s if len(b_SN) > 1 else 0]) for s in range(count)]
    return crossed([[x - y for x, y in zip(a, b, strict=True)] for a, b in rows], level)


def over_seeds(numbers: Sequence[float]) -> Number | None:
    """The mean with Student's interval."""
    if not numbers:
        return None
    parts = [(variance(numbers) / len(numbers), len(numbers) - 1)] if len(numbers) > 1 else []
    return Number(mean=fmean(numbers), half_width=_half_width(parts, LEVEL))


def _half_width(parts: Sequence[tuple[float, int]], level: float) -> float | None:
    """Half of the interval of a sum of variances, each with its degrees of freedom."""
    if not parts:
        return None
    total = sum(v for v, _ in parts)
    if total == 0:
        return 0.0
    freedom = total**2 / sum(v**2 / d for v, d in parts)
    return chance.student(level, round(freedom, 2)) * math.sqrt(total)


def level_for(pairs: int) -> float:
    """The level of each of so many comparisons at which all of them together hold at 95 % (Bonferroni)."""
    return 1 - (1 - LEVEL) / max(pairs, 1)
