"""Questions to models: which tuned runs a visitor may ask, how they are called, and a question asked. Without components."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from experiments import analysis, objectives, shelf, specs, states
from experiments.analysis import Record
from experiments.catalog import models
from experiments.jobs import QueueFull
from experiments.questions import SampleSpec
from experiments.specs import RunSpec, SpecError
from experiments.store import Key
from lab_app import visitor
from lab_app.lab import Lab

MOST_COLUMNS = 8  # of one question
KEPT_NONE = (
    "This run kept no adapters on its way: they were too large, or nothing was trained. "
    "What it said to the task's prompts then is under “Answers while it trained”."
)
SEVERAL = re.compile(r"^\s*---\s*$", re.MULTILINE)


def split(data: Mapping[str, Any]) -> dict[str, Any]:
    """Several prompts in one text, with a line of --- between them, as the spec has them."""
    first, *more = [part.strip() for part in SEVERAL.split(str(data["prompt"] or ""))]
    return {**data, "prompt": first, "more": tuple(more)}


def choices(lab: Lab, owner: str, opened: Sequence[str]) -> list[tuple[str, str]]:
    """(label, run id) of finished runs with an adapter: the visitor's own and those that they opened, newest first."""
    own = [entry.key.run_id for entry in lab.store.entries("train", owner, 60)] if owner else []
    found = []
    for run_id in visitor.known(lab.store, [*opened, *own], owner):
        record = analysis.load(lab.store, run_id)
        if (
            record
            and record.finished
            and record.finished.adapter_path
            and not objectives.find(record.spec.objective).scores
        ):
            found.append((label(record), run_id))
    return found


def label(record: Record) -> str:
    """LoRA · pirate · 40 steps · 10:41."""
    at = time.strftime("%H:%M", time.localtime(record.ended_s)) if record.ended_s else ""
    spec = record.spec
    parts = [
        record.method.title,
        *_settings(spec),
        spec.task,
        f"{spec.train.steps} steps",
        models.find(spec.model).title,
        at,
    ]
    return " · ".join(filter(None, parts))


def _settings(spec: RunSpec) -> list[str]:
    """The settings that are not the default ones."""
    own, usual = spec.settings.model_dump(), type(spec.settings)().model_dump()
    texts = {k: ", ".join(map(str, v)) if isinstance(v, tuple | list) else str(v) for k, v in own.items()}
    return [f"{k.replace('_', ' ')} {texts[k][:26]}" for k in own if own[k] != usual[k]]


def order(lab: Lab, data: Mapping[str, Any], owner: str) -> tuple[Key | None, dict[str, str]]:
    """Ask the question; its key, or one sentence a field."""
    records = [analysis.load(lab.store, run_id) for run_id in data["runs"]]
    found = [record.spec for record in records if record]
    if len({(spec.model, spec.weights) for spec in found}) > 1:
        return None, {"runs": "These runs are of different base models; choose runs of one."}
    try:
        spec = specs.build(SampleSpec, {**data, **_base(found)})
        return lab.jobs.ask(spec, owner).key, {}
    except SpecError as error:
        return None, {problem.field: problem.sentence for problem in error.problems}
    except QueueFull as error:
        return None, {"": str(error)}
    except ValueError as error:  # the model cannot be had
        return None, {"runs": str(error)}


def along_the_way(lab: Lab, run_ids: Sequence[str], owner: str) -> dict[str, Any]:
    """`runs` and `at` of a question to one run at its start, on its way and at its end. Raises `SpecError`."""
    if len(run_ids) != 1:
        raise SpecError(
            [specs.Problem("runs", "Choose one run: it answers as it was at its start, on its way and at its end.")]
        )
    (run_id,) = run_ids
    steps = states.looks(lab.home, run_id) if shelf.may_see(lab.store, run_id, owner) else []
    if not steps:
        raise SpecError([specs.Problem("runs", KEPT_NONE)])
    at = [*spread(steps, MOST_COLUMNS - 1), None]
    return {"runs": (run_id,) * len(at), "at": tuple(at)}


def spread(steps: Sequence[int], most: int) -> list[int]:
    """At most so many of these steps, evenly, the first and the last among them."""
    if len(steps) <= most:
        return list(steps)
    return [steps[round(i * (len(steps) - 1) / (most - 1))] for i in range(most)]


def _base(found: Sequence[RunSpec]) -> dict[str, str]:
    if found:
        return {"model": found[0].model, "weights": found[0].weights}
    here = [entry for entry in models.available() if models.is_ready(entry)]  # nobody waits for a fetch unasked
    entry = (here or models.available())[0]
    return {"model": entry.key, "weights": models.weights_of(entry)}
