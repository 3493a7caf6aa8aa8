"""The command line: every ability of the lab without the page, through the same specs, queue, store and engine.

`python -m experiments --help`. With `--json` standard output carries one JSON object and nothing else; what a person
watches goes to standard error. Wrong input is one sentence and exit status 2, a run that failed is exit status 1.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from experiments import analysis, events, methods, recorded, specs
from experiments.catalog import models, resources, tasks
from experiments.catalog.cache import ResourceError, lab_home
from experiments.jobs import Jobs
from experiments.specs import RunSpec, SampleSpec, SpecError
from experiments.store import Store
from experiments.terminal import finish, follow, people, progress_bar, sentences, show, watch
from experiments.workers import Inline

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


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


@app.command()
def fetch(
    names: Annotated[list[str], typer.Argument(help="Models, tasks or resources, by name.")], as_json: AsJson = False
) -> None:
    """Bring models and data now, so that a later run needs no network."""
    rows = []
    with sentences(as_json), progress_bar() as (bar, row):
        for name in names:
            for resource in _resources_of(name):

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
    return [models.find(name, local=True).resource]


@app.command()
def run(
    model: str = "smollm2-135m",
    task: str = "pirate",
    method: str = "lora",
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting of the method: rank=8.")] = None,
    steps: Annotated[str, typer.Option(help="Training steps.")] = "40",
    batch_size: Annotated[str, typer.Option(help="Rows a step.")] = "4",
    lr: Annotated[str | None, typer.Option(help="Learning rate; the method's own where it is left out.")] = None,
    seed: Annotated[str, typer.Option(help="Seed of order, start values and dropout.")] = "0",
    again: Annotated[bool, typer.Option("--again", help="Train even where the same run is stored.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train one run; a finished one with the same spec is served from the store."""
    with sentences(as_json):
        chosen = dict(_pair(text) for text in settings or [])
        train = {"steps": steps, "batch_size": batch_size, **({"learning_rate": lr} if lr is not None else {})}
        spec = complete(
            {"model": model, "task": task, "method": method, "settings": chosen, "train": train, "seed": seed}
        )
        (record,) = train_all([spec], again)
    finish([record], as_json, one=True)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise SpecError([specs.Problem("settings", f"“{text[:60]}” is not of the form name=value.")])
    return key.strip(), value.strip()


@app.command()
def race(
    spec: Annotated[list[Path], typer.Option("--spec", help="A run's spec as JSON, or a list of them.")],
    again: Annotated[bool, typer.Option("--again")] = False,
    as_json: AsJson = False,
) -> None:
    """Train several specs in turn, step by step, on the same machine."""
    with sentences(as_json):
        wanted = [complete(data) for file in spec for data in _read_specs(file)]
        records = train_all(wanted, again)
    finish(records, as_json)


def _read_specs(file: Path) -> list[dict[str, Any]]:
    try:
        data = json.loads(file.read_text("utf8"))
    except (OSError, ValueError) as error:
        raise SpecError([specs.Problem("spec", f"{file} is not a readable JSON file: {error}.")]) from None
    found = data if isinstance(data, list) else [data]
    if not all(isinstance(d, dict) for d in found):
        raise SpecError([specs.Problem("spec", f"{file} must hold a spec or a list of specs.")])
    return found


@app.command()
def generate(
    prompt: Annotated[str, typer.Option(help="What to ask.")],
    run_ids: Annotated[
        list[str] | None, typer.Option("--run", help="A finished run; may be given several times.")
    ] = None,
    model: Annotated[str, typer.Option(help="The base to ask where no run is named.")] = "smollm2-135m",
    temperature: str = "0",
    top_p: str = "1",
    max_new_tokens: str = "60",
    seed: str = "0",
    as_json: AsJson = False,
) -> None:
    """Ask the base and tuned runs the same question, side by side."""
    with sentences(as_json):
        store = open_store()
        weights, model = _base_of(store, run_ids or [], model)
        spec = specs.build(
            SampleSpec,
            {
                "model": model, "weights": weights, "runs": run_ids or [], "prompt": prompt, "temperature": temperature,
                "top_p": top_p, "max_new_tokens": max_new_tokens, "seed": seed,
            },
        )  # fmt: skip
        jobs = Jobs(store, Inline(store, lab_home()))
        key = jobs.ask(spec, owner()).key
        answers: dict[int, str] = {}
        for event in follow(store, key):
            if isinstance(event, events.Wrote):
                answers[event.column] = answers.get(event.column, "") + event.text
            elif isinstance(event, events.Failed):
                raise SpecError([specs.Problem("run", event.cause)])
        jobs.close()
    names = ["base", *spec.runs]
    if as_json:
        print(
            json.dumps(
                {"prompt": prompt, "base": answers[0], "runs": {n: answers[i] for i, n in enumerate(names) if i}}
            )
        )
    else:
        for i, name in enumerate(names):
            print(f"{name}: {answers[i].strip()}")


def _base_of(store: Store, run_ids: Sequence[str], model: str) -> tuple[str, str]:
    """The weights and model that these runs were trained on; of the named model where there is no run."""
    for run_id in run_ids:
        record = analysis.load(store, run_id)
        if record is None:
            raise SpecError([specs.Problem("run", f"There is no run “{run_id[:40]}” in this store.")])
        return record.spec.weights, record.spec.model
    return models.weights_of(models.find(model, local=True)), model


@app.command()
def runs(as_json: AsJson = False, limit: int = 200) -> None:
    """The runs of this store, newest first."""
    store = open_store()
    rows = []
    for entry in store.entries(limit=limit):
        spec = RunSpec.model_validate_json(entry.spec)
        row = {
            "run_id": entry.key.run_id,
            "attempt": entry.key.attempt,
            "status": entry.last,
            "created_s": entry.created_s,
        }
        rows.append({**row, "model": spec.model, "task": spec.task, "method": spec.method, "steps": spec.train.steps})
    show(rows, as_json, "runs")


@app.command()
def record(run_ids: Annotated[list[str], typer.Argument(help="Finished runs, as one comparison.")]) -> None:
    """Make stored runs the recorded ones that the page shows at first."""
    with sentences(False):
        for old in recorded.FOLDER.glob("*.jsonl"):
            old.unlink()
        for run_id in run_ids:
            print(recorded.record(open_store(), run_id))


# what the commands share


def owner() -> str:
    return f"command line {os.getpid()}"


def open_store() -> Store:
    """The store under LAB_HOME; tracebacks go to a file beside it, never to the terminal."""
    store = Store(lab_home() / "lab.sqlite")
    logging.basicConfig(filename=lab_home() / "command-line.log", format="%(asctime)s %(name)s %(message)s")
    return store


def complete(data: dict[str, Any]) -> RunSpec:
    """A checked spec with the weights that would be used now. Raises `SpecError`."""
    spec: RunSpec = specs.build(RunSpec, data)
    try:
        entry = models.find(spec.model, local=True)
    except (ValueError, ResourceError) as error:
        raise SpecError([specs.Problem("model", str(error))]) from None
    if arch := models.arch(entry):
        specs.check(spec, arch)
    return spec.model_copy(update={"model": entry.key, "weights": spec.weights or models.weights_of(entry)})


def train_all(wanted: Sequence[RunSpec], again: bool) -> list[analysis.Record]:
    """Submit, draw the progress, and return the records; Ctrl-C stops after the step under way."""
    store = open_store()
    jobs = Jobs(store, Inline(store, lab_home()))
    tickets = jobs.submit(wanted, owner(), again)
    try:
        watch(store, tickets)
    except KeyboardInterrupt:
        people.print("Stopping after the step under way.")
        jobs.cancel([t.key for t in tickets], owner())
        watch(store, tickets)
    jobs.wait([t.key for t in tickets])
    jobs.close()
    return [record for t in tickets if (record := analysis.load(store, *t.key))]


if __name__ == "__main__":
    app()
