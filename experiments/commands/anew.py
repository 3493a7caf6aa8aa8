"""A new run from an old one: the same with one change, or the same for longer."""

from __future__ import annotations

from typing import Annotated

import typer

from experiments import analysis, states, variants
from experiments.catalog.cache import lab_home
from experiments.commands.train import complete, pairs, train_all
from experiments.specs import Problem, RunSpec, SpecError, TrainSettings
from experiments.terminal import AsJson, app, finish, open_store, sentences

RunId = Annotated[str, typer.Argument(metavar="RUN", help="A run of this store.")]


@app.command()
def clone(
    run_id: RunId,
    change: Annotated[list[str], typer.Option("--change", help="What is to differ: rank=16, steps=80, method=prompt.")],
    as_json: AsJson = False,
) -> None:
    """Train a run of the store again with one change, or several."""
    with sentences(as_json):
        changes = {_place(name): value for name, value in pairs(change).items()}
        (record,) = train_all([complete(variants.changed(_spec(run_id), changes).model_dump(mode="json"))], again=False)
    finish([record], as_json, one=True)


@app.command()
def longer(
    run_id: RunId,
    steps: Annotated[str, typer.Option(help="How many steps in all.")],
    change: Annotated[
        list[str] | None,
        typer.Option("--change", help="A training setting that is to differ from here on: schedule=linear."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train a finished run for longer, from where it ended."""
    with sentences(as_json):
        spec = _spec(run_id)
        if not states.goes_on(lab_home(), run_id):
            raise SpecError([Problem("run", f"Run {run_id} left no state to go on from; clone it with more steps.")])
        further = variants.longer(spec, steps, {_place(name): value for name, value in pairs(change).items()})
        (record,) = train_all([complete(further.model_dump(mode="json"))], again=False)
    finish([record], as_json, one=True)


def _place(name: str) -> str:
    """Where in a spec a name stands: `rank` is settings.rank, `steps` train.steps, `seed` itself."""
    if "." in name or name in RunSpec.model_fields:
        return name
    return f"train.{name}" if name in TrainSettings.model_fields else f"settings.{name}"


def _spec(run_id: str) -> RunSpec:
    record = analysis.load(open_store(), run_id)
    if record is None:
        raise SpecError([Problem("run", f"There is no run “{run_id[:40]}” in this store.")])
    return record.spec
