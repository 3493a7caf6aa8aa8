"""Training from the command line: one run, and a race of several."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from experiments import advice, analysis, export, fitting, mirrors, recorded, specs, templates
from experiments.catalog import models, tasks
from experiments.catalog.cache import lab_home
from experiments.commands import own
from experiments.jobs import Jobs
from experiments.specs import RunSpec, SpecError
from experiments.store import Store
from experiments.terminal import AsJson, app, finish, open_store, owner, people, sentences, watch
from experiments.workers import Inline

Mirrored = Annotated[
    list[str] | None, typer.Option("--mirror", help="Send the numbers on to trackio, tensorboard or wandb.")
]
SERVED = {
    "stored": "{} was trained before and is served from the store; --again trains it anew.",
    "shared": "{} is in training already, for somebody else; this is the same training.",
}


def mirror_to(names: list[str] | None) -> None:
    """Take these mirrors for this call, beside those of LAB_MIRRORS. Raises `ValueError` for one that is not here."""
    found = mirrors.find([*os.environ.get("LAB_MIRRORS", "").split(","), *(names or ())])
    os.environ["LAB_MIRRORS"] = ",".join(mirror.key for mirror in found)


@app.command()
def run(
    model: str = models.MODELS[0].key,
    task: str = tasks.TASKS[0].key,
    data: own.Data = "",
    mapping: own.Mapping = None,
    template: own.Template = "",
    method: str = "lora",
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting of the method: rank=8.")] = None,
    objective: Annotated[str, typer.Option(help="What it learns from: see `objectives`.")] = "sft",
    goal: Annotated[list[str] | None, typer.Option("--goal", help="A setting of the objective: beta=0.1.")] = None,
    after: Annotated[
        str, typer.Option(help="The finished run whose adapter it begins with: SFT first, DPO then.")
    ] = "",
    steps: Annotated[str, typer.Option(help="Training steps.")] = "40",
    batch_size: Annotated[str, typer.Option(help="Rows a step.")] = "4",
    recipe: Annotated[
        list[str] | None,
        typer.Option("--train", help="A setting of the training: schedule=cosine, warmup=5, patience=2."),
    ] = None,
    lr: Annotated[str | None, typer.Option(help="Learning rate; the method's own where it is left out.")] = None,
    seed: Annotated[str, typer.Option(help="Seed of order, start values and dropout.")] = "0",
    again: Annotated[bool, typer.Option("--again", help="Train even where the same run is stored.")] = False,
    mirror: Mirrored = None,
    as_json: AsJson = False,
) -> None:
    """Train one run; a finished one with the same spec is served from the store."""
    with sentences(as_json):
        rows = own.bring(data, mapping or [], template) if data else None
        chosen = pairs(settings)
        train = {"steps": steps, "batch_size": batch_size, **({"learning_rate": lr} if lr is not None else {})}
        train |= pairs(recipe)
        about = own.kept(rows) if rows else {"task": task, "template": template or templates.CHAT}
        about |= {"objective": objective, "goal": pairs(goal), "after": after}
        spec = complete({"model": model, "method": method, "settings": chosen, "train": train, "seed": seed, **about})
        mirror_to(mirror)
        (record,) = train_all([spec], again)
    finish([record], as_json, one=True)


def pairs(texts: Sequence[str] | None) -> dict[str, str]:
    """What stands after each `--set` or `--train`: name=value, each name once. Raises `SpecError`."""
    found: dict[str, str] = {}
    for text in texts or ():
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not key:
            raise SpecError([specs.Problem("settings", f"“{text[:60]}” is not of the form name=value.")])
        if key in found:
            said = f"“{key[:60]}” is given twice, as “{found[key][:60]}” and as “{value[:60]}”."
            raise SpecError([specs.Problem("settings", said)])
        found[key] = value
    return found


@app.command()
def race(
    files: Annotated[list[Path] | None, typer.Argument(help="Further ones, as a shell makes them of *.json.")] = None,
    spec: Annotated[
        list[Path] | None, typer.Option("--spec", help="A run's spec as YAML or JSON, or a list of them.")
    ] = None,
    again: Annotated[bool, typer.Option("--again")] = False,
    mirror: Mirrored = None,
    as_json: AsJson = False,
) -> None:
    """Train several specs in turn, step by step, on the same machine."""
    with sentences(as_json):
        given = [*(spec or ()), *(files or ())]
        if not given:
            raise SpecError([specs.Problem("spec", "Name the specs that are to race: --spec a.json b.json.")])
        wanted = [complete(data) for file in given for data in _read_specs(file)]
        mirror_to(mirror)
        records = train_all(wanted, again)
    finish(records, as_json)


def _read_specs(file: Path) -> list[dict[str, Any]]:
    try:
        with file.open("rb") as opened:
            content = opened.read(export.SPEC_LIMIT + 1)
    except OSError as error:
        raise SpecError([specs.Problem("spec", f"{file} is not a readable file: {error.strerror}.")]) from None
    try:
        return export.parse_specs(content)
    except SpecError as error:
        raise SpecError([specs.Problem("spec", f"{file}: {p.sentence}") for p in error.problems]) from None


@app.command()
def record(
    run_ids: Annotated[
        list[str],
        typer.Argument(
            help="Finished runs, to be shown together; or a finished sweep, comparison, last stage of a path."
        ),
    ],
    method: Annotated[
        bool, typer.Option("--method", help="Each as the recorded run of its method, beside the comparison.")
    ] = False,
) -> None:
    """Make stored runs, a stored sweep or a stored comparison the recorded ones that the page shows at first."""
    kinds: dict[str, tuple[str, str, Callable[[Store, str], Path]]] = {
        "w": ("sweep", "*.jsonl", recorded.record_sweep), "c": ("comparison", "*.json", recorded.record_comparison),
    }  # fmt: skip
    folder, ending, record_one = kinds.get(run_ids[0][:-12], ("", "*.jsonl", recorded.record))
    with sentences(False):
        found = None if folder else analysis.load(open_store(), run_ids[0])
        if found and found.spec.after:
            print(recorded.record_path(open_store(), run_ids[0]))
            return
        if method:
            for run_id in run_ids:
                print(recorded.record_method(open_store(), run_id))
            return
        for old in (recorded.FOLDER / folder).glob(ending):
            old.unlink()
        for run_id in run_ids:
            print(record_one(open_store(), run_id))


def complete(data: dict[str, Any]) -> RunSpec:
    """A checked spec with the weights that would be used now. Raises `SpecError`."""
    return fitting.ready(specs.build(RunSpec, data), local=True)


def train_all(wanted: Sequence[RunSpec], again: bool) -> list[analysis.Record]:
    """Submit, draw the progress, and return the records; Ctrl-C stops after the step under way."""
    store = open_store()
    jobs = Jobs(store, Inline(store, lab_home()))
    for spec in wanted:
        for found in advice.before(spec):
            people.print(f"{spec.method}: {found.sentence}", markup=False, highlight=False, soft_wrap=True)
    tickets = jobs.submit(wanted, owner(), again)
    for ticket in tickets:
        if ticket.state != "new":
            people.print(SERVED[ticket.state].format(ticket.key.run_id), highlight=False, soft_wrap=True)
    try:
        watch(store, tickets)
    except KeyboardInterrupt:
        people.print("Stopping after the step under way.")
        jobs.cancel([t.key for t in tickets], owner())
        watch(store, tickets)
    jobs.wait([t.key for t in tickets])
    jobs.close()
    return [record for t in tickets if (record := analysis.load(store, *t.key))]
