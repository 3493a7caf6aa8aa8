"""The model end of the Tokenize tab: a text goes to the worker, what it read comes back event by event. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from experiments import analysis, events, specs
from experiments.catalog import models
from experiments.jobs import QueueFull
from experiments.questions import SurpriseSpec
from experiments.specs import SpecError
from experiments.store import Key
from experiments.tokenization.base import well_formed
from lab_app import asking, visitor
from lab_app.lab import Lab
from lab_app.tokens import Answer, Desk, Request

Handler = Callable[[Desk, Request], Answer]


def handlers(lab: Lab) -> dict[str, Handler]:
    """Name of a request → who answers it."""
    return {
        "runs": lambda _, request: runs(lab, request),
        "read": lambda _, request: read(lab, request),
        "reading": lambda _, request: reading(lab, request),
        "leave": lambda _, request: leave(lab, request),
    }


def _owner(request: Request) -> str:
    return visitor.owner({"owner": request.get("owner")})


def runs(lab: Lab, request: Request) -> Answer:
    """The bases, and the visitor's tuned runs, newest first."""
    shown = visitor.known(lab.store, visitor.last_runs({"runs": request.get("runs")}), _owner(request))
    found = asking.choices(lab, _owner(request), shown)
    return {"models": [[e.key, e.title] for e in models.available()], "runs": [[key, label] for label, key in found]}


def read(lab: Lab, request: Request) -> Answer:
    """Ask how the base, and one tuned run of it, read a text; the key to ask after."""
    run_id = str(request.get("run") or "")
    if run_id:
        record = analysis.load(lab.store, run_id)
        if record is None:
            raise ValueError("This lab has no such run.")
        base = {"model": record.spec.model, "weights": record.spec.weights}
    else:
        entry = models.find(str(request.get("model") or models.available()[0].key))
        base = {"model": entry.key, "weights": models.weights_of(entry)}
    try:
        data: Mapping[str, Any] = {
            **base, "runs": (run_id,) if run_id else (), "text": well_formed(str(request.get("text") or "")),
            "chat": bool(request.get("chat")),
        }  # fmt: skip
        return {"asked": list(lab.jobs.ask(specs.build(SurpriseSpec, data), _owner(request) or "a visitor").key)}
    except (SpecError, QueueFull) as error:
        raise ValueError(str(error)) from None


def reading(lab: Lab, request: Request) -> Answer:
    """What came so far of a reading: `columns` as they are ready, a sentence, and whether it has ended."""
    key = _key(request)
    answer: Answer = {"columns": [], "said": "Waiting for the worker.", "ended": False}
    for row in lab.store.events(key):
        match row.event:
            case events.Progress(stage=stage):
                answer["said"] = f"{stage}."
            case events.Read() as found:
                answer["columns"].append(found.model_dump(mode="json"))
                answer["said"] = ""
            case events.Failed(cause=cause, advice=advice):
                answer |= {"said": f"{cause} {advice}".strip(), "ended": True}
            case events.Cancelled() | events.Interrupted():
                answer |= {"said": "Stopped.", "ended": True}
            case events.Finished():
                answer |= {"said": "", "ended": True}
    return answer


def leave(lab: Lab, request: Request) -> Answer:
    lab.jobs.cancel([_key(request)], _owner(request) or "a visitor")
    return {}


def _key(request: Request) -> Key:
    asked = request.get("asked")
    if isinstance(asked, list) and len(asked) == 2 and str(asked[0]).startswith("p") and isinstance(asked[1], int):
        return Key(str(asked[0])[:20], asked[1])
    raise ValueError("Nothing was asked.")
