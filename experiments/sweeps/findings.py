"""What a sweep found, as pure functions of its cells: a mean and an interval for each setting, and a verdict in words that
names no winner inside the noise.

Noise is what is left between the seeds of one setting. Where every setting has the same seeds, what a seed does to all of
them alike is taken out first (a randomised block design: the seeds share their batches). Two settings are told apart by Tukey's
studentised range at 95 %, which allows for the many pairs (Tukey 1949); intervals are Student's t.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from statistics import stdev

from pydantic import BaseModel, ConfigDict

from experiments import chance
from experiments.sweeps.spec import Axis, Value

LEVEL = 0.95
Result = tuple[Mapping[str, "Value | None"], int, "float | None"]
"""A cell's values by place, its seed, its number; None where it has none."""


class Row(BaseModel):
    """One setting over its seeds. `half_width` is that of the 95 % interval of the mean, None with one seed."""

    model_config = ConfigDict(frozen=True)
    values: dict[str, Value | None]
    mean: float
    half_width: float | None
    seeds: int
    told_apart: bool = False
    """Whether it is worse than the best by more than chance."""


class Comparison(BaseModel):
    """All settings, the best first, and the smallest difference that is more than chance."""

    model_config = ConfigDict(frozen=True)
    rows: tuple[Row, ...] = ()
    noise: float | None = None
    seeds: int = 0
    lower_is_better: bool = True

    @property
    def best(self) -> Row | None:
        return self.rows[0] if self.rows else None


def compare(results: Sequence[Result], lower_is_better: bool = True) -> Comparison:
    """The settings by their mean over the seeds."""
    groups = grouped(results)
    if not groups:
        return Comparison(lower_is_better=lower_is_better)
    spread, freedom = _spread([seeds for _, seeds in groups])
    counts = [len(seeds) for _, seeds in groups]
    noise = _least_difference(spread, freedom, len(groups), counts) if spread is not None else None
    means = [sum(seeds.values()) / len(seeds) for _, seeds in groups]
    best = min(means) if lower_is_better else max(means)
    rows = [
        Row(
            values=dict(values), mean=mean, half_width=_half_width(list(seeds.values())), seeds=len(seeds),
            told_apart=noise is not None and abs(mean - best) > noise,
        )
        for (values, seeds), mean in zip(groups, means, strict=True)
    ]  # fmt: skip
    rows.sort(key=lambda row: row.mean if lower_is_better else -row.mean)
    return Comparison(rows=tuple(rows), noise=noise, seeds=min(counts), lower_is_better=lower_is_better)


def grouped(results: Sequence[Result]) -> list[tuple[Mapping[str, Value | None], dict[int, float]]]:
    """The settings, each with the number of every seed that has one."""
    found: dict[str, tuple[Mapping[str, Value | None], dict[int, float]]] = {}
    for values, seed, number in results:
        if number is not None and math.isfinite(number):
            found.setdefault(repr(sorted(values.items())), (values, {}))[1][seed] = number
    return list(found.values())


def _spread(groups: Sequence[Mapping[int, float]]) -> tuple[float | None, int]:
    """Standard deviation between the seeds of a setting, and its degrees of freedom; None where no setting has two."""
    seeds = set(groups[0])
    if len(groups) > 1 and len(seeds) > 1 and all(set(g) == seeds for g in groups):
        whole = sum(sum(g.values()) for g in groups) / (len(groups) * len(seeds))
        block = {s: sum(g[s] for g in groups) / len(groups) - whole for s in seeds}
        left = [g[s] - block[s] - sum(g.values()) / len(g) for g in groups for s in seeds]
        freedom = (len(groups) - 1) * (len(seeds) - 1)
    else:
        left = [v - sum(g.values()) / len(g) for g in groups for v in g.values()]
        freedom = sum(len(g) - 1 for g in groups)
    return (math.sqrt(sum(x * x for x in left) / freedom), freedom) if freedom else (None, 0)


def _least_difference(spread: float, freedom: int, settings: int, counts: Sequence[int]) -> float:
    """Tukey's honest significant difference, for unequal counts after Kramer with the fewest."""
    return chance.studentised_range(LEVEL, max(settings, 2), freedom) * spread / math.sqrt(min(counts))


def _half_width(numbers: Sequence[float]) -> float | None:
    """Half of Student's interval of a mean."""
    if len(numbers) < 2:
        return None
    return chance.student(LEVEL, len(numbers) - 1) * stdev(numbers) / math.sqrt(len(numbers))


# In words


def verdict(found: Comparison, axes: Sequence[Axis]) -> str:
    """One sentence that names a winner only where it is more than chance."""
    if not found.rows:
        return ""
    best, others = found.rows[0], found.rows[1:]
    if not others:
        return f"Only {named(best.values)} has finished: {best.mean:.3f}."
    if found.noise is None:
        return (
            f"{named(best.values)} came out best ({best.mean:.3f}), with one seed a setting: how much of that is chance "
            "is not known. More seeds would tell."
        )
    why = f"(±{_digits(found.noise)} over {found.seeds} seed{'s' if found.seeds > 1 else ''})"
    same, worse = [r for r in others if not r.told_apart], [r for r in others if r.told_apart]
    if not same:
        return f"{named(best.values)} is best: {best.mean:.3f}, the next {others[0].mean:.3f} {why}."
    if not worse:
        return f"None of the {len(found.rows)} settings can be told apart here {why}."
    if len(axes) == 1:
        values = axes[0].values
        told = f"{_span(axes[0], values, [best, *same])} cannot be told apart here {why}"
        return f"{told}; {_span(axes[0], values, worse)} {'is' if len(worse) == 1 else 'are'} worse."
    return (
        f"{named(best.values)} came out best ({best.mean:.3f}), but {len(same)} more of {len(found.rows)} settings cannot be "
        f"told apart from it here {why}; {len(worse)} {'is' if len(worse) == 1 else 'are'} worse."
    )


def named(values: Mapping[str, Value | None]) -> str:
    """A setting in words: `rank 8, alpha 16`."""
    return ", ".join(f"{p.split('.')[-1].replace('_', ' ')} {_said(v)}" for p, v in values.items()) or "the base run"


def _span(axis: Axis, values: Sequence[Value], rows: Sequence[Row]) -> str:
    """Values of one axis, neighbours as “4 to 32”."""
    order = {v: i for i, v in enumerate(values)}
    places = sorted(order.get(r.values.get(axis.place), -1) for r in rows)  # type: ignore[arg-type]
    is_ordered = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values) and -1 not in places
    if not is_ordered:
        said = [_said(r.values.get(axis.place)) for r in rows]
    else:
        runs = [[p for _, p in run] for _, run in groupby(enumerate(places), key=lambda pair: pair[1] - pair[0])]
        said = []
        for run in runs:
            ends = (_said(values[run[0]]), _said(values[run[-1]]))
            said += [f"{ends[0]} to {ends[1]}"] if len(run) > 2 else [_said(values[p]) for p in run]
    return f"{axis.label} {' and '.join([', '.join(said[:-1]), said[-1]]) if len(said) > 1 else said[0]}"


def _said(value: Value | None) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "on", False: "off", None: "–"}[value]
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _digits(number: float) -> str:
    """Two digits that count: 0.031, 1.2."""
    return f"{number:.{max(0, 1 - math.floor(math.log10(number)))}f}" if number > 0 else "0"


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which of these (cost, loss) pairs no other one beats in both, both the smaller the better; by cost."""
    best, front = math.inf, []
    for i in sorted(range(len(points)), key=lambda i: points[i]):
        if points[i][1] < best:
            best = points[i][1]
            front.append(i)
    return front
