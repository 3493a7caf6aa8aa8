"""Base and tuned answers, side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from experiments import analysis, events, specs
from experiments.catalog import models
from experiments.catalog.cache import lab_home
from experiments.jobs import Jobs
from experiments.specs import SampleSpec, SpecError
from experiments.store import Store
from experiments.terminal import AsJson, app, follow, open_store, owner, sentences
from experiments.workers import Inline


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
