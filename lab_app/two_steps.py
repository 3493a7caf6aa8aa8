"""What a start would take, and two steps of each chosen method to know it better: asked of the worker on a press of a button.

Nobody waits for them: the form asks again how far they are as long as they are under way, also after a reload. What was measured is
kept by who measured it and is the next estimate, whoever asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from experiments import estimates, events, fitting, methods, objectives
from experiments.jobs import QueueFull
from experiments.questions import CalibrateSpec
from experiments.specs import RunSpec, SpecError
from experiments.store import Entry
from lab_app import sentences
from lab_app.lab import Lab

MEASURE, AGAIN = "Measure two steps", "Measure again"
QUESTION = re.compile(r"q[0-9a-f]{12}")


def expected(lab: Lab, found: Sequence[RunSpec], asked: Mapping[str, Any], edit: int) -> dict[str, Any]:
    """What the form shows of these runs (none where one cannot start): their `costs`, and of `measuring` what the button says (nothing
    where none can be measured), whether it is under way, and a sentence."""
    known = [(spec, estimates.before(spec, lab.store), fitting.foretold_mb(spec)) for spec in found]
    lines, time = sentences.costs(known) if known else ([], sentences.PUT_RIGHT)
    measured = [estimate.peak_mb is not None for spec, estimate, _ in known if _can_be_measured(spec)]
    button = (AGAIN if all(measured) else MEASURE) if measured else ""
    return {"costs": {"lines": lines, "time": time}, "measuring": {**told(lab, asked, edit), "button": button}}


def _can_be_measured(spec: RunSpec) -> bool:
    """A trainer of TRL's takes steps of its own, which are not."""
    return not objectives.find(spec.objective).is_trls


def ask(lab: Lab, found: Sequence[RunSpec], owner: str, edit: int) -> dict[str, Any]:
    """Ask for what is left of these runs, for all of them once more where nothing is: method → id of the question, and why one could not
    be asked. `edit`: which state of the form it was that asked."""
    ids: dict[str, str] = {}
    said = ""
    every = [spec for spec in found if _can_be_measured(spec)]
    left = [spec for spec in every if estimates.before(spec, lab.store).peak_mb is None]
    try:
        for spec in left or every:
            ids[spec.method] = lab.jobs.ask(CalibrateSpec(run=spec), owner, again=True).key.run_id
    except (QueueFull, SpecError) as error:
        said = str(error)
    return {"ids": ids, "said": said, "edit": edit}


def told(lab: Lab, asked: Mapping[str, Any], edit: int) -> dict[str, Any]:
    """How far it is: {"busy": whether any is under way, "said": sentence}. What failed is told to the form as it was when it asked."""
    entries = _entries(lab, asked.get("ids"))
    waiting = [entry for entry in entries.values() if not entry.ended]
    if waiting:
        return {"busy": True, "said": _far(lab, waiting, len(entries))}
    if asked.get("edit") != edit:
        return {"busy": False, "said": ""}
    failed = [f"{methods.find(key).title}: {why}" for key, entry in entries.items() if (why := _why(lab, entry))]
    refused = asked.get("said")
    return {"busy": False, "said": " ".join([*failed, *([refused] if isinstance(refused, str) and refused else [])])}


def _entries(lab: Lab, ids: Any) -> dict[str, Entry]:
    """What the store has of these questions; the browser may have sent anything."""
    known = {m.key for m in methods.METHODS} & set(ids) if isinstance(ids, Mapping) else set()
    asked = {key: ids[key] for key in known if isinstance(ids[key], str) and QUESTION.fullmatch(ids[key])}
    return {m.key: entry for m in methods.METHODS if (entry := lab.store.entry(asked.get(m.key, "")))}


def _far(lab: Lab, waiting: Sequence[Entry], count: int) -> str:
    """Where the first is still loading or fetching something, that is said, too."""
    rows = lab.store.events(waiting[0].key)
    loading = f" {sentences.preparing(rows[-1].event)}" if rows and isinstance(rows[-1].event, events.Progress) else ""
    return f"Two steps are under way: {count - len(waiting)} of {count} measured.{loading}"


def _why(lab: Lab, entry: Entry) -> str:
    """Why it ended without a measurement; empty where it did not."""
    match lab.store.events(entry.key)[-1].event:
        case events.Failed() as end:
            return f"{end.cause} {end.advice}".strip()
        case events.Interrupted() as end:
            return end.cause
        case events.Cancelled():
            return "It was stopped."
    return ""
