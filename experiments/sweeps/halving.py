"""Successive halving (Jamieson & Talwalkar 2016, Algorithm 1): at each rung the better third goes on, the rest stop.

The rungs are looks that the runs take anyway, so that a cell which goes to its end is bit for bit the run it would be alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from experiments.recipe import TrainSettings, look_steps

KEEP_ONE_OF = 3


def rungs(train: TrainSettings) -> list[int]:
    """The steps at which cells are compared: the first look, then each that is three times as far as the last rung."""
    found: list[int] = []
    for step in sorted(look_steps(train)):
        if not found or step >= KEEP_ONE_OF * found[-1]:
            found.append(step)
    return found


def hopeless(losses: Mapping[str, float | None], before: Sequence[float]) -> set[str]:
    """Which of these runs stop at this rung, by their held-out loss there; `before`: what earlier waves had at it.

    One third of all goes on, at least one. A loss that is no number is worse than any.
    """
    numbers = {run: math.inf if loss is None else loss for run, loss in losses.items()}
    everything = sorted([*numbers.values(), *before])
    if not everything:
        return set()
    bar = everything[math.ceil(len(everything) / KEEP_ONE_OF) - 1]
    return {run for run, loss in numbers.items() if loss > bar or loss == math.inf}
