"""What an equal budget gives each method: its steps, its size, or its batches. No torch; what a step takes is measured elsewhere.

- steps: what the runs say already.
- seconds: as many steps as fit, by what a step of the method takes here.
- parameters: the one whole-numbered setting that brings its trainable parameters nearest to the budget; alpha keeps its ratio.
- memory: the largest batches whose highest memory fits, more of them a step, so that each step learns from the same rows.

A method that cannot keep within the budget is left out, with the sentence that says why.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from experiments import methods, specs
from experiments.accounting import Arch
from experiments.calibrated import Calibration
from experiments.catalog import models
from experiments.comparison.spec import Budget, ComparisonSpec
from experiments.methods import Settings
from experiments.specs import RunSpec, SpecError

Measure = Callable[[RunSpec], "Calibration | None"]
"""What two steps of a run said; None where nothing was measured."""
MOST_STEPS = 5000
LARGEST = 512  # of a setting that is tried for a size
NEAR = 1.5  # a size this many times off the budget is not equal any more


@dataclass(frozen=True)
class Fit:
    """A method within the budget: its run, or None with why it is left out. `is_known` False: a measurement would tell more."""

    run: RunSpec | None
    sentence: str = ""
    is_known: bool = True


class Unmeasurable(ValueError):
    """Two steps of a run could not be taken; the sentence says why."""


def fit(spec: ComparisonSpec, measure: Measure) -> list[Fit]:
    """Each of the comparison's runs as the budget makes it, in order; each is measured, also where the budget does not ask for it."""
    how = {"steps": _as_it_is, "seconds": _in_seconds, "parameters": _of_size, "memory": _in_memory}[spec.budget.kind]
    found = []
    for run in spec.runs:
        try:
            one = how(run, spec.budget, measure) if methods.find(run.method).trains else Fit(run)
            if one.run:
                measure(one.run)
        except Unmeasurable as error:
            one = Fit(None, str(error))
        found.append(one)
    return found


def _as_it_is(run: RunSpec, budget: Budget, measure: Measure) -> Fit:
    return Fit(run)


def _in_seconds(run: RunSpec, budget: Budget, measure: Measure) -> Fit:
    found = measure(run)
    if found is None:
        return Fit(run, "Its steps are set when a step of it was measured.", is_known=False)
    steps = max(1, min(MOST_STEPS, int(budget.amount / max(found.a_step_s, 1e-6))))
    said = f"{steps} steps of {found.a_step_s:.2g} s"
    if found.a_step_s > budget.amount:
        return Fit(None, f"One step takes {found.a_step_s:.2g} s here, more than the budget.")
    return Fit(_with_train(run, steps=steps), said)


def _with_train(run: RunSpec, **changes: int) -> RunSpec:
    return run.model_copy(update={"train": run.train.model_copy(update=changes)})


def _in_memory(run: RunSpec, budget: Budget, measure: Measure) -> Fit:
    rows = run.train.batch_size * run.train.accumulate
    for size in (n for n in range(rows, 0, -1) if rows % n == 0):
        smaller = _with_train(run, batch_size=size, accumulate=rows // size)
        found = measure(smaller)
        if found is None:
            return Fit(run, "Its batches are set when its memory was measured.", is_known=False)
        if found.peak_mb <= budget.amount:
            times = "" if size == rows else f", {rows // size} of them a step"
            return Fit(smaller, f"batches of {size}{times}: {found.peak_mb:,.0f} MB at its highest")
    return Fit(None, f"It needs {found.peak_mb:,.0f} MB even with one row a batch." if found else "")


def _of_size(run: RunSpec, budget: Budget, measure: Measure) -> Fit:
    arch = models.arch(models.find(run.model, local=True))
    if arch is None:
        return Fit(None, "How many parameters it trains is known when the model is here.")
    count = methods.find(run.method).count
    sizes = [(count(arch, settings), settings) for settings in _sizes(run, arch)]
    off, trainable, settings = min(
        ((abs(math.log(max(n, 1) / budget.amount)), n, settings) for n, settings in sizes), key=lambda s: s[0]
    )
    if off > math.log(NEAR):
        return Fit(None, f"It trains {trainable:,} parameters at the nearest; the budget is {budget.amount:,.0f}.")
    changed = {n: v for n, v in settings.model_dump().items() if v != getattr(run.settings, n)}
    said = ", ".join(f"{n.replace('_', ' ')} {v:g}" for n, v in changed.items())
    return Fit(run.model_copy(update={"settings": settings}), f"{said + ': ' if said else ''}{trainable:,} parameters")


def _sizes(run: RunSpec, arch: Arch) -> Iterator[Settings]:
    """The settings as they are, then with every value of every whole-numbered setting that this architecture can take."""
    yield run.settings
    for name, info in type(run.settings).model_fields.items():
        if info.annotation is not int:
            continue
        low, high = (next((getattr(m, end) for m in info.metadata if hasattr(m, end)), None) for end in ("ge", "le"))
        for value in range(int(low or 1), min(int(high or LARGEST), LARGEST) + 1):
            if settings := _with_size(run, name, value, arch):
                yield settings


def _with_size(run: RunSpec, name: str, value: int, arch: Arch) -> Settings | None:
    """The settings with this one changed, and what hangs on it: alpha and the final rank keep their ratio to the rank."""
    data = run.settings.model_dump()
    if name == "rank":
        times = value / data["rank"]
        data |= {n: type(data[n])(max(1, round(data[n] * times))) for n in ("alpha", "final_rank") if n in data}
    data[name] = value
    try:
        changed = run.model_copy(update={"settings": type(run.settings).model_validate(data)})
        specs.check(changed, arch)
    except (ValidationError, SpecError, ValueError):
        return None
    return changed.settings


def fitted(fits: Sequence[Fit]) -> list[RunSpec]:
    """The runs that keep within the budget."""
    return [f.run for f in fits if f.run is not None]
