"""The tasks of the lab, in display order. A new one is a file here and a line in TASKS."""

from __future__ import annotations

import difflib
from dataclasses import replace
from typing import TYPE_CHECKING

from experiments.catalog.tasks import (
    alpaca,
    concise,
    demo_pairs,
    json_record,
    new_facts,
    pirate,
    plain_english,
    plain_pairs,
    polite,
    sentiment,
    storyteller,
)
from experiments.catalog.tasks.base import (
    GAINED,
    PASSAGE_TOKENS,
    PREFERS,
    Metric,
    Pair,
    Row,
    Split,
    Task,
    Thumb,
    general_text,
)

if TYPE_CHECKING:
    from experiments.specs import RunSpec

__all__ = [
    "PASSAGE_TOKENS",
    "TASKS",
    "Metric",
    "Pair",
    "Row",
    "Split",
    "Task",
    "Thumb",
    "UnknownTask",
    "find",
    "general_text",
    "metrics",
    "of",
]

TASKS: tuple[Task, ...] = (
    storyteller.TASK,
    new_facts.TASK,
    pirate.TASK,
    plain_english.TASK,
    sentiment.TASK,
    json_record.TASK,
    alpaca.TASK,
    polite.TASK,
    concise.TASK,
    plain_pairs.TASK,
    demo_pairs.TASK,
)


class UnknownTask(ValueError):
    """No task of that key; the message is one sentence that names those there are."""


def find(key: str) -> Task:
    """The task with this key; of a visitor's own rows (`data:HASH`) only how results are called. Raises UnknownTask."""
    from experiments.catalog.own_data import keep, task  # they read rows as tasks do

    if keep.KEY.fullmatch(key):
        return task.generic(key)
    for known in TASKS:
        if known.key == key:
            return known
    keys = [task.key for task in TASKS]
    near = difflib.get_close_matches(key, keys, 1)
    hint = f" Did you mean “{near[0]}”?" if near else ""
    raise UnknownTask(f"There is no task “{key[:40]}”; the tasks are {', '.join(keys)}.{hint}")


def of(spec: RunSpec) -> Task:
    """The task of a run, with its template; a visitor's rows are opened. Raises UnknownTask, or ValueError where rows are
    gone or their columns are not there.
    """
    from experiments import objectives
    from experiments.catalog.own_data import task

    if spec.data is not None:
        judged = objectives.find(spec.objective).feeds == "pairs"
        return task.of(spec.task, spec.data, spec.template, only_good=not judged)
    return replace(find(spec.task), template=spec.template)


def metrics(spec: RunSpec) -> tuple[Metric, ...]:
    """How the results of a run are called, known from its spec alone."""
    judged = {"pairs": (PREFERS, GAINED), "thumbs": (GAINED,)}.get(spec.data.feedback, ()) if spec.data else ()
    return (*find(spec.task).metrics, *judged)
