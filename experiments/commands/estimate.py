"""What a run would take, from two steps of it."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from experiments import calibrated
from experiments.catalog import models, tasks
from experiments.commands.train import complete, pairs
from experiments.terminal import AsJson, app, open_store, sentences


@app.command()
def estimate(
    model: str = models.MODELS[0].key,
    task: str = tasks.TASKS[0].key,
    method: str = "lora",
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting of the method: rank=8.")] = None,
    recipe: Annotated[list[str] | None, typer.Option("--train", help="A setting of the training: steps=40.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take two steps of a run and say how long all of it takes and how much memory it needs."""
    with sentences(as_json):
        chosen = {"model": model, "task": task, "method": method, "settings": pairs(settings), "train": pairs(recipe)}
        spec = complete(chosen)
        from experiments.engine.calibration import calibrate
        from experiments.engine.models import Bases

        base = Bases().get(models.find(spec.model, local=True).key, spec.weights)
        tasks.of(spec).split(lambda stage, done, total: None)
        found = calibrate(spec, base)
        calibrated.keep(open_store(), spec, found)
    seconds = found.seconds(spec.train.steps)
    if as_json:
        print(json.dumps({**found.model_dump(), "seconds": round(seconds, 1)}))
    else:
        print(
            f"{seconds:.0f} s for {spec.train.steps} steps, {found.a_step_s:.2f} s each; {found.peak_mb:,.0f} MB at its highest"
        )
