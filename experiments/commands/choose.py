"""What there is to choose from, and bringing it here before it is needed."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated

import typer

from experiments import methods, objectives
from experiments.catalog import models, resources, tasks, tokenizers
from experiments.terminal import AsJson, app, progress_bar, sentences, show


@app.command("models")
def list_models(as_json: AsJson = False) -> None:
    """The models to choose from; any hub id or local folder works, too."""
    show(
        [
            {
                "key": e.key,
                "title": e.title,
                "parameters": e.parameters,
                "licence": e.licence,
                "ready": models.is_ready(e),
            }
            for e in models.available()
        ],
        as_json,
        "models",
    )


@app.command("tasks")
def list_tasks(as_json: AsJson = False) -> None:
    """What a model can be taught here."""
    show(
        [
            {
                "key": t.key,
                "title": t.title,
                "metrics": [m.key for m in t.metrics],
                "licence": t.licence,
                "summary": t.summary,
            }
            for t in tasks.TASKS
        ],
        as_json,
        "tasks",
    )


@app.command("methods")
def list_methods(as_json: AsJson = False) -> None:
    """The ways of fine-tuning, each with its settings."""
    show(
        [
            {
                "key": m.key, "title": m.title, "summary": m.summary, "paper": m.paper, "paper_url": m.paper_url,
                "usual_rates": m.usual_rates,
                "settings": m.Settings.model_json_schema().get("properties", {}) if as_json else ", ".join(m.Settings.model_fields),
            }
            for m in methods.METHODS
        ],
        as_json, "methods",
    )  # fmt: skip


@app.command("objectives")
def list_objectives(as_json: AsJson = False) -> None:
    """What a run can learn from: answers, preferences, rewards; each with its settings."""
    show(
        [
            {
                "key": o.key, "title": o.title, "summary": o.summary, "needs": o.needs, "when": o.when,
                "trainer": o.trainer or "the lab's own loop", "paper": o.paper, "paper_url": o.paper_url,
                "measures": o.measures if as_json else "",
                "settings": o.Settings.model_json_schema().get("properties", {}) if as_json else ", ".join(o.Settings.model_fields),
            }
            for o in objectives.OBJECTIVES
        ],
        as_json, "objectives",
    )  # fmt: skip


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Models, tasks, tokenizers or resources, by name.")],
    as_json: AsJson = False,
) -> None:
    """Bring models and data now, so that a later run needs no network."""
    rows = []
    with sentences(as_json), progress_bar() as (bar, row):
        for name in names:
            wanted = _resources_of(name)
            rows += [] if wanted else [{"name": name, "source": "none needed", "path": None}]
            for resource in wanted:

                def report(stage: str, done: int, total: int | None, title: str = resource.title) -> None:
                    bar.update(row, description=f"{title}: {stage}", completed=done, total=total)

                found = resources.get(resource, report)
                rows.append({"name": name, "source": found.source, "path": str(found.path)})
    show(rows, as_json, "fetched")


def _resources_of(name: str) -> list[resources.Resource]:
    if name in {t.key for t in tasks.TASKS}:
        return [resources.find(r) for r in tasks.find(name).resources]
    if name in {r.name for r in resources.RESOURCES}:
        return [resources.find(name)]
    if name in {t.key for t in tokenizers.TOKENIZERS}:
        return [r for r in [tokenizers.find(name).resource] if r]
    try:
        return [models.find(name, local=True).resource]
    except ValueError:
        raise ValueError(_no_such(name)) from None


def _no_such(name: str) -> str:
    """What can be fetched, where this cannot, and the nearest name."""
    kinds = {
        "models": [e.key for e in models.available()],
        "tasks": [t.key for t in tasks.TASKS],
        "tokenizers": [t.key for t in tokenizers.TOKENIZERS],
    }
    others = {t.resource.name for t in tokenizers.TOKENIZERS if t.resource} | set(kinds["models"])
    kinds["resources"] = [r.name for r in resources.RESOURCES if r.name not in others]
    near = get_close_matches(name, [known for names in kinds.values() for known in names], n=1)
    hint = f"Did you mean “{near[0]}”?" if near else "Any other model is named by its hub id, owner/name, or folder."
    listed = "; ".join(f"the {kind} {', '.join(names)}" for kind, names in kinds.items())
    return f"There is nothing called “{name[:60]}” to fetch; there are {listed}. {hint}"
