"""Several LoRA runs put together into one adapter, from the command line."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from experiments import analysis, events
from experiments.catalog.cache import lab_home
from experiments.jobs import Jobs
from experiments.questions import MixSpec, check_mix
from experiments.specs import Problem, RunSpec, SpecError, build
from experiments.store import Store
from experiments.terminal import AsJson, app, follow, open_store, owner, sentences
from experiments.workers import Inline


@app.command()
def merge(
    runs: Annotated[str, typer.Option(help="Two to four finished LoRA runs of one base, with commas between them.")],
    weights: Annotated[str, typer.Option(help="A number for each run, such as 1,0.5; 1 each where left out.")] = "",
    how: Annotated[str, typer.Option(help="stack, linear, ties, dare, dare-ties, or all of them.")] = "all",
    density: Annotated[str, typer.Option(help="ties and dare: the share of entries that is kept.")] = "0.5",
    seed: Annotated[str, typer.Option(help="dare draws what it drops from it.")] = "0",
    as_json: AsJson = False,
) -> None:
    """Put LoRA runs together, nothing trained: the held-out loss of the base, of each run alone and of each mix."""
    with sentences(as_json):
        store = open_store()
        names = [name.strip() for name in runs.split(",") if name.strip()]
        found = [_run(store, name) for name in names]
        if not found:
            raise SpecError([Problem("runs", "Name two to four finished LoRA runs, with commas between them.")])
        asked: MixSpec = build(MixSpec, {
            "model": found[0].model, "weights": found[0].weights, "runs": names, "shares": weights, "how": how,
            "density": density, "seed": seed,
        })  # fmt: skip
        check_mix(asked, found)
        jobs = Jobs(store, Inline(store, lab_home()))
        told = list(follow(store, jobs.ask(asked, owner()).key))
        jobs.close()
        if isinstance(told[-1], events.Failed):
            raise SpecError([Problem("runs", told[-1].cause)])
    rows = [event for event in told if isinstance(event, events.Mixed)]
    if as_json:
        print(json.dumps({**asked.model_dump(), "mixes": [row.model_dump(exclude={"kind"}) for row in rows]}))
        return
    for row in rows:
        loss = f"{row.held_out_loss:.3f}" if row.held_out_loss is not None else "no number"
        print(f"{row.name:<12}  {row.task:<14}  {loss}  {row.answers[0].answer[:60] if row.answers else ''}")


def _run(store: Store, name: str) -> RunSpec:
    """The spec of a finished run. Raises `SpecError`."""
    record = analysis.load(store, name)
    if record is None or record.status != "finished":
        raise SpecError([Problem("runs", f"Run “{name[:40]}” is not a finished run of this store.")])
    return record.spec
