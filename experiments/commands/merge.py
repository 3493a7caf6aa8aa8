"""Several LoRA runs put together into one adapter, from the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated

import typer

from experiments import analysis, events
from experiments.catalog.cache import lab_home
from experiments.jobs import Jobs
from experiments.questions import MixSpec, check_mix, kept_mix
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
    keep: Annotated[
        bool,
        typer.Option(
            "--keep", help="Keep the mix, of all of them the lowest, as a run that can be asked and exported."
        ),
    ] = False,
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
        if isinstance(told[-1], events.Failed):
            raise SpecError([Problem("runs", told[-1].cause)])
        kept = _kept(jobs, asked, found[0], told) if keep else None
        jobs.close()
    rows = [event for event in told if isinstance(event, events.Mixed)]
    if as_json:
        mixes = [row.model_dump(exclude={"kind"}) for row in rows]
        print(json.dumps({**asked.model_dump(), "mixes": mixes, "kept": kept and kept.run_id}))
        return
    for row in rows:
        loss = f"{row.held_out_loss:.3f}" if row.held_out_loss is not None else "no number"
        print(f"{row.name:<12}  {row.task:<14}  {loss}  {row.answers[0].answer[:60] if row.answers else ''}")
    if kept:
        print(f"{kept.settings.how} is kept as run {kept.run_id}.")  # type: ignore[attr-defined]


def _kept(jobs: Jobs, asked: MixSpec, first: RunSpec, told: Sequence[events.Event]) -> RunSpec:
    """The run that keeps the lowest mix, carried out. Raises `SpecError`."""
    lowest = analysis.lowest_mix(event for event in told if isinstance(event, events.Mixed))
    if lowest is None:
        raise SpecError([Problem("how", "No mix gave a number, so none was kept.")])
    spec = kept_mix(asked, first, lowest[0])
    (ticket,) = jobs.submit([spec], owner())
    end = list(follow(jobs.store, ticket.key))[-1]
    if not isinstance(end, events.Finished):
        raise SpecError([Problem("runs", getattr(end, "cause", "") or "The mix could not be kept.")])
    return spec


def _run(store: Store, name: str) -> RunSpec:
    """The spec of a finished run. Raises `SpecError`."""
    record = analysis.load(store, name)
    if record is None or record.status != "finished":
        raise SpecError([Problem("runs", f"Run “{name[:40]}” is not a finished run of this store.")])
    return record.spec
