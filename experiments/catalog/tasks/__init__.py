"""The tasks of the lab, in display order. A new one is a file here and a line in TASKS."""

import difflib

from experiments.catalog.tasks import pirate, plain_english, sentiment
from experiments.catalog.tasks.base import Metric, Row, Split, Task, general_text

__all__ = ["TASKS", "Metric", "Row", "Split", "Task", "UnknownTask", "find", "general_text"]

TASKS: tuple[Task, ...] = (pirate.TASK, plain_english.TASK, sentiment.TASK)


class UnknownTask(ValueError):
    """No task of that key; the message is one sentence that names those there are."""


def find(key: str) -> Task:
    """The task with this key. Raises UnknownTask."""
    for task in TASKS:
        if task.key == key:
            return task
    keys = [task.key for task in TASKS]
    near = difflib.get_close_matches(key, keys, 1)
    hint = f" Did you mean “{near[0]}”?" if near else ""
    raise UnknownTask(f"There is no task “{key[:40]}”; the tasks are {', '.join(keys)}.{hint}")
