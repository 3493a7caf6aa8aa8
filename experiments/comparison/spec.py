"""What a comparison is: some methods, one budget that is equal for all of them, a search of the learning rate for each, some seeds.

A comparison is made of ordinary runs that share model, task, template and batches, and differ in the method, its settings and its
rate. Its id is a hash of what was asked; what the budget then gives each method is `budgets`'.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field, model_validator

from experiments import fitting, methods, specs
from experiments.catalog import models, tasks
from experiments.methods.base import knob
from experiments.recipe import TrainSettings
from experiments.specs import Frozen, Problem, RunSpec, SpecError, digest

MOST_METHODS, MOST_SEEDS = 12, 20
Kind = Literal["steps", "seconds", "parameters", "memory"]
UNITS: dict[Kind, str] = {"steps": "steps", "seconds": "s", "parameters": "parameters", "memory": "MB"}
SHARED = ("model", "weights", "task", "template", "data")


class Budget(BaseModel):
    """What every method gets the same of: steps, seconds of training, trainable parameters, or memory at its highest."""

    model_config = Frozen
    kind: Kind = knob(
        "steps", "Equal",
        low="steps: the same batches. seconds: slow methods take fewer steps.",
        high="parameters: sizes are made alike. memory: large methods take smaller batches, more of them a step.",
    )  # fmt: skip
    amount: float = knob(40, "Budget", gt=0, le=1e12)

    @property
    def said(self) -> str:
        """`equal steps: 40`, `equal memory: 800 MB`."""
        unit = UNITS[self.kind] if self.kind in ("seconds", "memory") else ""
        amount = f"{self.amount:,.0f}" if self.amount >= 100 or float(self.amount).is_integer() else f"{self.amount:g}"
        return f"equal {self.kind}: {amount} {unit}".strip()


class ComparisonSpec(BaseModel):
    """The runs to compare, one for each method, as they would be with the first seed and the usual rate; and how they are compared.

    `rates`: how many learning rates each method tries over its own usual range; 1 tries none but the run's own.
    """

    model_config = Frozen
    schema_version: Literal[1] = 1
    runs: tuple[RunSpec, ...] = Field(title="Methods", min_length=1, max_length=MOST_METHODS)
    budget: Budget = Field(default_factory=Budget)
    rates: int = knob(
        5, "Learning rates tried", ge=1, le=9, unit="rates",
        low="1: the usual rate, untried. Methods at one untried rate mostly measure that rate.",
        high="Each method tries so many over its own range; the worse two thirds stop early.",
    )  # fmt: skip
    seeds: tuple[int, ...] = knob(
        (0, 1, 2), "Seeds", min_length=1, max_length=MOST_SEEDS,
        low="One seed: what is chance between runs cannot be told.", high="Three say how large chance is.",
    )  # fmt: skip

    @model_validator(mode="after")
    def _fits_together(self) -> ComparisonSpec:
        first = self.runs[0]
        if any(getattr(run, name) != getattr(first, name) for run in self.runs for name in SHARED):
            raise ValueError("The methods of one comparison share model, task and template.")
        if len({(run.method, run.settings.model_dump_json()) for run in self.runs}) < len(self.runs):
            raise ValueError("Each method can be there once with the same settings.")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("Each seed can be there once.")
        return self

    @property
    def comparison_id(self) -> str:
        return "c" + digest(self)

    @property
    def task(self) -> tasks.Task:
        return tasks.of(self.runs[0])


def build(data: Mapping[str, Any]) -> ComparisonSpec:
    """A validated comparison of `methods` (keys, or mappings with `method` and `settings`) on `model` and `task`.

    `train` are the settings that all share; a budget of steps sets theirs. Raises `SpecError` with one sentence a field.
    """
    rest = {name: data[name] for name in ("rates", "seeds") if data.get(name) not in (None, "")}
    budget: Budget = specs.build(Budget, dict(data.get("budget") or {}))
    train = {**dict(data.get("train") or {}), "thorough": True}
    if budget.kind == "steps":
        if not float(budget.amount).is_integer() or budget.amount > 5000:
            raise SpecError([Problem("budget", "Steps must be a whole number of at most 5,000.")])
        train["steps"] = int(budget.amount)
    train.pop("learning_rate", None)
    shared = {name: data[name] for name in SHARED if data.get(name) is not None}
    chosen = [dict(m) if isinstance(m, Mapping) else {"method": m} for m in data.get("methods") or ()]
    if not chosen:
        raise SpecError([Problem("methods", "Choose at least one method.")])
    seed = (rest.get("seeds") or (0,))[0]
    runs = [_run(one, {**shared, "train": train, "seed": seed}) for one in chosen]
    return specs.build(ComparisonSpec, {"runs": runs, "budget": budget, **rest})


def ready(spec: ComparisonSpec, local: bool = False) -> ComparisonSpec:
    """The comparison as it can be started: each run checked against its model and this machine, with the weights that would be used now.

    Raises `SpecError`, each problem with its method.
    """
    runs, problems = [], []
    for run, name in zip(spec.runs, labels(spec.runs), strict=True):
        try:
            runs.append(fitting.ready(run, local))
        except SpecError as error:
            problems += [Problem(run.method, f"{name}: {p.sentence}") for p in error.problems]
    if problems:
        raise SpecError(problems)
    return spec.model_copy(update={"runs": tuple(runs)})


def _run(chosen: Mapping[str, Any], shared: Mapping[str, Any]) -> RunSpec:
    """Raises `SpecError`; a wrong setting is named with its method."""
    try:
        return specs.build(RunSpec, {**shared, **chosen})
    except SpecError as error:
        at = str(chosen.get("method"))
        found = [
            Problem(p.field.replace("settings", at, 1) if p.field.startswith("settings") else p.field, p.sentence)
            for p in error.problems
        ]
        raise SpecError(found) from None


def rates(run: RunSpec, count: int) -> tuple[float, ...]:
    """So many learning rates over the method's usual range, in proportion, of two digits; its own rate where the count is 1.

    On a model with a usual rate of its own the range is moved by as much as that rate is off the method's default.
    """
    method = methods.find(run.method)
    low, high = method.usual_rates
    if count == 1 or not run.train.steps or not low:
        return (run.train.learning_rate,)
    default = method.learning_rate(run.settings)
    times = (models.usual_rate(run.model, run.method) or default) / default
    span = math.log(high / low)
    found = (times * low * math.exp(span * i / (count - 1)) for i in range(count))
    return tuple(dict.fromkeys(float(f"{rate:.2g}") for rate in found))


def labels(runs: Sequence[RunSpec]) -> list[str]:
    """What to call each run: its method, and where two share one, the settings in which they differ."""
    return [methods.find(run.method).title + _difference(run, runs) for run in runs]


def _difference(run: RunSpec, runs: Sequence[RunSpec]) -> str:
    others = [r.settings.model_dump() for r in runs if r.method == run.method and r is not run]
    mine, usual = run.settings.model_dump(), methods.find(run.method).Settings().model_dump()
    parts = [
        f"{name.replace('_', ' ')} {value:g}" if isinstance(value, float) else f"{name.replace('_', ' ')} {value}"
        for name, value in mine.items()
        if any(other[name] != value for other in others) and value != usual[name]
    ]
    return f" ({', '.join(parts)})" if parts else ""


def describe_train(train: TrainSettings) -> str:
    """`40 steps of 4 rows`."""
    rows = train.batch_size * train.accumulate
    return f"{train.steps} steps of {rows} row{'s' if rows != 1 else ''}"
