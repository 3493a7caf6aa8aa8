"""From a sweep to its cells: each combination of values and each seed as one run's spec. Pure and the same every time.

A setting that a method of the sweep does not have is left out for that method, so that `method=lora,prompt` with
`rank=4,8` has three settings, not four. Two combinations that are the same run are one cell.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from experiments import methods, variants
from experiments.specs import Problem, RunSpec, SpecError
from experiments.sweeps.spec import Axis, SweepSpec, Value

MOST_CELLS = 10_000
DRAWS = 20  # tries for one new setting, before a random search takes it that there are no more


@dataclass(frozen=True)
class Point:
    """One cell before it runs: its place on each axis that its method has, its seed, its spec."""

    values: Mapping[str, Value]
    seed: int
    spec: RunSpec


@dataclass(frozen=True)
class Expansion:
    """The cells, the first seed of every setting before the second, and the combinations that no run can have, with why."""

    points: tuple[Point, ...]
    impossible: tuple[tuple[Mapping[str, Value], str], ...] = ()

    @property
    def specs(self) -> tuple[RunSpec, ...]:
        return tuple(point.spec for point in self.points)


def size(spec: SweepSpec) -> int:
    """How many cells there are at most, without making them."""
    settings = math.prod(len(a.values) for a in spec.axes) if spec.search == "grid" else spec.trials
    return settings * len(spec.seeds)


def expand(spec: SweepSpec) -> Expansion:
    """The cells of a sweep. Those of "tpe" are where it begins: later ones depend on what the first ones bring.

    Raises `SpecError` where there are too many, or where no combination can run.
    """
    if size(spec) > MOST_CELLS:
        raise SpecError([Problem("axes", f"{size(spec):,} cells are too many; a sweep has at most {MOST_CELLS:,}.")])
    rows: dict[str, dict[int, Point]] = {}
    impossible: dict[str, tuple[Mapping[str, Value], str]] = {}
    for values in combinations(spec):
        try:
            points = {seed: point(spec, values, seed) for seed in spec.seeds}
        except SpecError as error:
            impossible.setdefault(repr(values), (values, str(error)))
            continue
        rows.setdefault(points[spec.seeds[0]].spec.run_id, points)
    if not rows:
        sentence = next(iter(impossible.values()))[1] if impossible else "There is nothing to run."
        raise SpecError([Problem("axes", sentence)])
    points_by_seed = (row[seed] for seed in spec.seeds for row in rows.values())
    return Expansion(tuple(points_by_seed), tuple(impossible.values()))


def point(spec: SweepSpec, values: Mapping[str, Value], seed: int) -> Point:
    """One cell. Raises `SpecError` where no run can have these values."""
    method = methods.find(str(values.get("method", spec.base.method)))
    own = {place: value for place, value in values.items() if _has(method, place)}
    return Point(own, seed, variants.changed(spec.base, {**own, "seed": seed}))


def _has(method: methods.Method, place: str) -> bool:
    head, _, field = place.partition(".")
    return head != "settings" or field in method.Settings.model_fields


def combinations(spec: SweepSpec) -> Iterator[dict[str, Value]]:
    """Values for each axis: all combinations of a grid, else as many different draws as there are trials."""
    if spec.search == "grid":
        for chosen in itertools.product(*(axis.values for axis in spec.axes)):
            yield dict(zip(spec.places, chosen, strict=True))
        return
    draw, seen = random.Random(spec.seeds[0]), set()
    for _ in range(spec.trials):
        for _ in range(DRAWS):
            values: dict[str, Value] = {axis.place: _drawn(axis, draw) for axis in spec.axes}
            if repr(values) not in seen:
                seen.add(repr(values))
                yield values
                break


def _drawn(axis: Axis, draw: random.Random) -> Value:
    if axis.low is None or axis.high is None:
        return draw.choice(axis.values)
    low, high = (math.log(axis.low), math.log(axis.high)) if axis.log else (axis.low, axis.high)
    value = draw.uniform(low, high)
    value = math.exp(value) if axis.log else value
    return round(value) if axis.is_whole else float(f"{value:.3g}")


def value_at(spec: RunSpec, place: str) -> Value | None:
    """What a run has at this place; None where its method has no such setting. A list of names is one text."""
    head, _, field = place.partition(".")
    found = getattr(spec, head, None)
    if field:
        found = getattr(found, field, None)
    return ",".join(map(str, found)) if isinstance(found, tuple) else found
