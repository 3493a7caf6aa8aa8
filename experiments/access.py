"""What may be asked for: rows are given to those who brought them, runs on them to those who asked (`shelf.may_see`).

No difference is told between what is somebody else's and what is not here. Whoever runs the lab may ask for all.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments import methods, objectives, shelf
from experiments.catalog.own_data import keep
from experiments.specs import Problem, RunSpec, SpecError
from experiments.store import Store


def require_all(store: Store, spec: RunSpec, owner: str) -> None:
    """Raise `SpecError` where a run names rows or runs that are not this owner's to use."""
    require_rows(spec, owner)
    require_sources(store, spec, owner)
    require_stages(store, spec, owner)


def require_rows(spec: RunSpec, owner: str) -> None:
    """Raise `SpecError` where a spec names rows that this owner did not bring."""
    if spec.task.startswith("data:") and not keep.owns(spec.task, owner):
        raise SpecError([Problem("task", "These rows are not yours, or are not here any more: bring them again.")])


def require_sources(store: Store, spec: RunSpec, owner: str) -> None:
    """Raise `SpecError` where the runs that a method builds on are not the asker's to use, not finished, or of another base."""
    runs = methods.find(spec.method).sources(spec.settings)
    for run_id in runs:
        require_runs(store, [run_id], owner, "settings.runs")
        entry = store.entry(run_id)
        source = RunSpec.model_validate_json(entry.spec) if entry and entry.last == "finished" else None
        if source is None:
            raise SpecError([Problem("settings.runs", f"Run “{run_id}” is not a finished run of this lab.")])
        _goes_with(source, spec, run_id, "settings.runs")


def require_stages(store: Store, spec: RunSpec, owner: str) -> None:
    """Raise `SpecError` where a run to begin with, or a reward model, is not the asker's to use or is of another base. It may still be
    waiting: the stages of a path are asked for at once."""
    for field, run_id in (("after", spec.after), ("goal.judge", getattr(spec.goal, "judge", ""))):
        entry = store.entry(run_id) if run_id else None
        if run_id and (entry is None or entry.kind != "train"):
            raise SpecError([Problem(field, f"Run “{run_id}” is not a run of this lab.")])
        if entry:
            require_runs(store, [run_id], owner, field)
            source = RunSpec.model_validate_json(entry.spec)
            _goes_with(source, spec, run_id, field)
            _scores_or_answers(source, spec, run_id, field)


def _goes_with(source: RunSpec, spec: RunSpec, run_id: str, field: str) -> None:
    """Raise `SpecError` where one run cannot build on another."""
    if (source.model, source.weights) != (spec.model, spec.weights):
        raise SpecError([Problem(field, f"Run {run_id} was trained on another base model.")])
    if source.task.startswith("data:") and not spec.task.startswith("data:"):
        said = f"Run {run_id} is on own rows; it can only be used in a run on own rows, which stays as private."
        raise SpecError([Problem(field, said)])


def _scores_or_answers(source: RunSpec, spec: RunSpec, run_id: str, field: str) -> None:
    """Raise `SpecError` where a judge is no reward model, or where a run that is to answer would begin with one."""
    is_judge = objectives.find(source.objective).scores
    if field == "goal.judge" and not is_judge:
        raise SpecError([Problem(field, f"Run {run_id} is no reward model: train one with the objective “reward”.")])
    if field == "after" and is_judge:
        raise SpecError(
            [Problem(field, f"Run {run_id} is a reward model, which gives no answers: begin with another run.")]
        )


def require_runs(store: Store, run_ids: Sequence[str], owner: str, field: str = "runs") -> None:
    """Raise `SpecError` where one of these runs is on rows that are somebody else's."""
    for run_id in run_ids:
        is_here = store.entry(run_id) is not None and not owner.startswith(keep.OPERATOR)
        if is_here and not shelf.may_see(store, run_id, owner):
            raise SpecError([Problem(field, f"There is no run “{run_id[:40]}” here that you may ask.")])
