"""New specs from an old one: the same with one change, or the same for longer. Pure; what cannot run is a `SpecError`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments import specs
from experiments.specs import Problem, RunSpec, SpecError


def changed(spec: RunSpec, changes: Mapping[str, Any]) -> RunSpec:
    """The spec with some places changed, named as in the form: {"settings.rank": 16, "train.steps": 80, "seed": 1}.

    Another method or objective brings its own settings and learning rate, another model its own weights; a run that went on from an
    earlier one starts afresh. Raises `SpecError`.
    """
    data = spec.model_dump(mode="json", exclude={"start"})
    if changes.get("method", spec.method) != spec.method:
        data["settings"] = {}
        data["train"].pop("learning_rate", None)
    if changes.get("objective", spec.objective) != spec.objective:
        data["goal"] = {}
        data["train"].pop("learning_rate", None)
    if changes.get("model", spec.model) != spec.model:
        data["weights"] = ""
    for place, value in changes.items():
        head, _, name = place.partition(".")
        if name and isinstance(data.get(head), dict):
            data[head][name] = value
        else:
            data[place] = value
    return specs.build(RunSpec, data)


def longer(spec: RunSpec, steps: int | str, changes: Mapping[str, Any] | None = None) -> RunSpec:
    """The run that goes on from this finished one to so many steps in all, its training settings changed where wished.

    Raises `SpecError`.
    """
    for place in changes or {}:
        if not place.startswith("train.") or place in ("train.batch_size", "train.accumulate"):
            raise SpecError(
                [Problem(place, "A run that goes on keeps its model, task, method, settings, seed and batch.")]
            )
    data = changed(spec, {**(changes or {}), "train.steps": steps}).model_dump(mode="json")
    further: RunSpec = specs.build(RunSpec, {**data, "start": spec.run_id})
    if further.train.steps <= spec.train.steps:
        raise SpecError(
            [Problem("train.steps", f"Run {spec.run_id} has {spec.train.steps} steps already; ask for more.")]
        )
    return further
