"""What may be asked for: rows are given to those who brought them, runs on them to those who asked (`shelf.may_see`).

No difference is told between what is somebody else's and what is not here. Whoever runs the lab may ask for all.
"""

from __future__ import annotations

from collections.abc import Sequence

from experiments import shelf
from experiments.catalog.own_data import keep
from experiments.specs import Problem, RunSpec, SpecError
from experiments.store import Store


def require_rows(spec: RunSpec, owner: str) -> None:
    """Raise `SpecError` where a spec names rows that this owner did not bring."""
    if spec.task.startswith("data:") and not keep.owns(spec.task, owner):
        raise SpecError([Problem("task", "These rows are not yours, or are not here any more: bring them again.")])


def require_runs(store: Store, run_ids: Sequence[str], owner: str) -> None:
    """Raise `SpecError` where one of these runs is on rows that are somebody else's."""
    for run_id in run_ids:
        is_here = store.entry(run_id) is not None and not owner.startswith(keep.OPERATOR)
        if is_here and not shelf.may_see(store, run_id, owner):
            raise SpecError([Problem("runs", f"There is no run “{run_id[:40]}” here that you may ask.")])
