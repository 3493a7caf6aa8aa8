"""What a sweep is: a frozen, validated spec of a base run, its axes and how they are searched. Its id is a hash of it.

An axis is any field of a run's spec, named as in the form: `settings.rank`, `train.learning_rate`, `method`. For people
`method.rank`, `rank` and `lr` are the same places. One that does not exist is answered with the nearest name.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from experiments import methods
from experiments.methods.base import knob
from experiments.recipe import TrainSettings
from experiments.specs import Frozen, Problem, RunSpec, SpecError, digest
from experiments.specs import build as build_spec

Value = bool | int | float | str
MOST_AXES, MOST_VALUES, MOST_SEEDS = 6, 200, 50
OWN_PLACES = ("method", "model", "task", "template")
SHORT = {"lr": "train.learning_rate"}


class Axis(BaseModel):
    """One field of a run's spec and the values it takes: those listed, or anything from `low` to `high`.

    A range is drawn from in proportion (`log`) where both ends are above zero, and in whole numbers where both are whole.
    """

    model_config = Frozen
    place: str = Field(title="Axis", min_length=1, max_length=60)
    values: tuple[Value, ...] = Field((), title="Values", max_length=MOST_VALUES)
    low: float | None = Field(None, title="From")
    high: float | None = Field(None, title="To")

    @model_validator(mode="after")
    def _has_something(self) -> Axis:
        if self.low is None and self.high is None:
            if not self.values:
                raise ValueError(f"{self.place}: give it at least one value.")
        elif self.values or self.low is None or self.high is None or self.low >= self.high:
            raise ValueError(f"{self.place}: a range goes from a smaller to a larger number, without values beside it.")
        return self

    @field_validator("values")
    @classmethod
    def _each_once(cls, value: tuple[Value, ...]) -> tuple[Value, ...]:
        return tuple({json.dumps(v): v for v in value}.values())

    @property
    def is_range(self) -> bool:
        return self.low is not None

    @property
    def is_whole(self) -> bool:
        return self.is_range and all(float(end or 0).is_integer() for end in (self.low, self.high))

    @property
    def log(self) -> bool:
        return self.low is not None and self.low > 0

    @property
    def label(self) -> str:
        """Its name for people: `rank`, `learning rate`, `method`."""
        return self.place.split(".")[-1].replace("_", " ")


class SweepSpec(BaseModel):
    """A base run, what is varied in it, over which seeds, how it is searched, when hopeless cells stop, and a time budget.

    An axis `seed` is the same as `seeds`. `trials` counts settings; a grid has as many as it has. With `prune` "halving" the
    worse two thirds stop at each rung, and only what went to its end gets further seeds; "tpe" gives them to its best third.
    """

    model_config = Frozen
    schema_version: Literal[1] = 1
    base: RunSpec
    axes: tuple[Axis, ...] = Field(title="Axes", min_length=1, max_length=MOST_AXES)
    seeds: tuple[int, ...] = knob(
        (0, 1, 2), "Seeds", min_length=1, max_length=MOST_SEEDS,
        low="One seed: what is chance and what is not cannot be told.",
        high="Three say how large chance is; each costs the whole sweep once more.",
    )  # fmt: skip
    search: Literal["grid", "random", "tpe"] = knob(
        "grid", "Search", low="grid: every combination.", high="tpe: goes where earlier cells were good."
    )
    trials: int = knob(30, "Trials", ge=1, le=10_000, unit="settings")
    prune: Literal["none", "halving"] = knob(
        "none", "Pruning", low="none: every cell runs to its end.", high="halving: the worse ones stop early."
    )
    budget_s: float | None = knob(None, "Time budget", gt=0, le=7 * 24 * 3600, unit="s")

    @model_validator(mode="before")
    @classmethod
    def _seed_is_no_axis(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or not isinstance(data.get("axes"), list | tuple):
            return data
        axes = [a.model_dump() if isinstance(a, Axis) else a for a in data["axes"]]
        seeds = [a for a in axes if isinstance(a, Mapping) and a.get("place") == "seed"]
        if not seeds:
            return data
        return {**data, "axes": [a for a in axes if a not in seeds], "seeds": tuple(seeds[-1].get("values", ()))}

    @model_validator(mode="after")
    def _fits_together(self) -> SweepSpec:
        if len({a.place for a in self.axes}) < len(self.axes):
            raise ValueError("Each axis can be there once.")
        if self.search == "grid" and (ranges := [a.place for a in self.axes if a.is_range]):
            raise ValueError(f"A grid needs values for {ranges[0]}; a range is for random or tpe.")
        return self

    @property
    def sweep_id(self) -> str:
        return "w" + digest(self)

    @property
    def places(self) -> tuple[str, ...]:
        return tuple(axis.place for axis in self.axes)


def build(data: Mapping[str, Any]) -> SweepSpec:
    """A validated sweep. `axes` may be a mapping of names to values. Raises `SpecError` with one sentence for each wrong field."""
    data = dict(data)
    if not isinstance(data.get("base"), RunSpec):
        data["base"] = build_spec(RunSpec, data.get("base") or {})
    axes = data.get("axes") or ()
    if isinstance(axes, Mapping):
        axes = [_axis(name, values) for name, values in axes.items()]
    known = _methods(data["base"], axes)
    data["axes"] = [{**_plain(a), "place": place(str(_plain(a).get("place", "")), known)} for a in axes]
    try:
        return SweepSpec.model_validate(data)
    except ValidationError:
        return build_spec(SweepSpec, data)


def _axis(name: str, values: Any) -> dict[str, Any]:
    """An axis as a file has it: a list of values, or `{low: …, high: …}`."""
    if isinstance(values, Mapping):
        return {"place": name, **values}
    return {"place": name, "values": list(values) if isinstance(values, list | tuple) else [values]}


def _plain(axis: Any) -> dict[str, Any]:
    return axis.model_dump() if isinstance(axis, Axis) else dict(axis)


def _methods(base: RunSpec, axes: Sequence[Any]) -> list[methods.Method]:
    """The methods that a sweep runs: the base's, or those of its axis `method`."""
    named = [_plain(a) for a in axes if _plain(a).get("place") == "method"]
    keys = [str(v) for a in named for v in a.get("values") or ()] or [base.method]
    try:
        return [methods.find(key) for key in keys]
    except ValueError as error:
        raise SpecError([Problem("axes", str(error))]) from None


def place(name: str, known: Sequence[methods.Method] = ()) -> str:
    """Where in a run's spec an axis stands: `method.rank` and `rank` are `settings.rank`, `lr` is `train.learning_rate`.

    Raises `SpecError` with the nearest name for one that no method of the sweep has.
    """
    settings = list(dict.fromkeys(field for method in known for field in method.Settings.model_fields))
    places = {f"settings.{field}": f"method.{field}" for field in settings}
    places |= {f"train.{field}": f"train.{field}" for field in TrainSettings.model_fields}
    places |= {own: own for own in (*OWN_PLACES, "seed")}
    short = {said.split(".")[-1]: where for where, said in reversed(places.items())}
    wanted = SHORT.get(name.strip(), name.strip().replace("method.", "settings.", 1))
    found = wanted if wanted in places else short.get(wanted)
    if found:
        return found
    said = {**{shown: shown for shown in places.values()}, **{n: places[w] for n, w in short.items()}}
    near = get_close_matches(name, said, n=1, cutoff=0.0)
    hint = f"did you mean “{said[near[0]]}”?" if near else f"there are {', '.join(places.values())}."
    clean = "".join(c if c.isprintable() else "\ufffd" for c in name[:40])
    raise SpecError([Problem("axes", f"There is no axis “{clean}” here; {hint}")])
