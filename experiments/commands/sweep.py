"""Sweeps from the command line: one run over many values of its settings, on as many workers as are wished."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
import yaml

from experiments import analysis, events, export, sweeps
from experiments.catalog import models, tasks
from experiments.catalog.cache import lab_home
from experiments.commands.train import complete
from experiments.commands.watched import Workers, crew, sweeper_over, watched
from experiments.jobs import Executor, Jobs
from experiments.questions import RanksSpec
from experiments.specs import Problem, RunSpec, SpecError, build
from experiments.store import Store
from experiments.sweeps import guidance, records, typed
from experiments.terminal import AsJson, app, follow, open_store, owner, people, sentences
from experiments.workers import Inline


@app.command()
def sweep(
    file: Annotated[Path | None, typer.Argument(help="A sweep as YAML or JSON: base, axes, seeds, search, …")] = None,
    base: Annotated[Path | None, typer.Option(help="The run that is varied: a spec as YAML or JSON.")] = None,
    axis: Annotated[
        list[str] | None, typer.Option(help="What is varied: method.rank=1,2,4,8; a range as lr=1e-4..1e-2.")
    ] = None,
    seeds: Annotated[str, typer.Option(help="Each setting is run with each of them.")] = "",
    search: Annotated[str, typer.Option(help="grid, random or tpe.")] = "",
    trials: Annotated[str, typer.Option(help="How many settings random or tpe try.")] = "",
    prune: Annotated[str, typer.Option(help="none, or halving: hopeless cells stop early.")] = "",
    budget: Annotated[str, typer.Option(help="Seconds that all of it may take.")] = "",
    workers: Workers = 0,
    ray: Annotated[str, typer.Option(help="Train on a Ray cluster: its address, or auto.")] = "",
    cpus: Annotated[float, typer.Option(help="Processors that a trial on a cluster takes.")] = 1,
    gpus: Annotated[float, typer.Option(help="GPUs that a trial on a cluster takes; a half is shared by two.")] = 0,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a very large sweep.")] = False,
    dry: Annotated[bool, typer.Option("--plan", help="Say what it would take, and start nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train one run with many values of its settings, and say which matter."""
    with sentences(as_json):
        started = {"model": models.MODELS[0].key, "task": tasks.TASKS[0].key, "method": "lora"}
        said: dict[str, Any] = _read(file) if file else {"base": _read(base) if base else started}
        given = {"search": search, "trials": trials, "prune": prune, "budget_s": budget}
        said |= {name: value for name, value in given.items() if value}
        said |= {"axes": [parse_axis(text) for text in axis]} if axis else {}
        said |= {"seeds": typed.values(seeds)} if seeds else {}
        said["base"] = complete(dict(said.get("base") or {}))
        store = open_store()
        planned = sweeps.plan(sweeps.build(said), store, max(workers, 1))
        on_ray: list[Executor] = [] if dry or not ray else _on_ray(store, ray, cpus, gpus, max(workers, 1))
    people.print(planned.sentence, markup=False, highlight=False, soft_wrap=True)
    if planned.asks and not yes and not dry and not typer.confirm(planned.asks, err=True):
        raise typer.Exit(1)
    if dry:
        _show_plan(planned, as_json)
    missing = planned.cells - planned.stored
    executors = on_ray or crew(store, workers, [planned.spec.base], missing, planned.seconds)
    _finish(_carry_out(store, planned.spec, executors), as_json)


@app.command()
def ranks(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="A finished LoRA run of this store.")],
    as_json: AsJson = False,
) -> None:
    """The whole rank curve from one run: its update cut to every smaller rank, nothing trained."""
    with sentences(as_json):
        store = open_store()
        record = analysis.load(store, run_id)
        if record is None or record.status != "finished":
            raise SpecError([Problem("run", f"Run “{run_id[:40]}” is not a finished run of this store.")])
        jobs = Jobs(store, Inline(store, lab_home()))
        asked = build(RanksSpec, {"model": record.spec.model, "weights": record.spec.weights, "runs": [run_id]})
        told = list(follow(store, jobs.ask(asked, owner()).key))
        jobs.close()
        if isinstance(told[-1], events.Failed):
            raise SpecError([Problem("run", told[-1].cause)])
    found = [event for event in told if isinstance(event, events.Ranked)]
    beside = {rank: run for rank, run in trained_beside(store, record.spec)}
    if as_json:
        rows = [{**r.model_dump(exclude={"kind"}), "trained": beside.get(r.rank)} for r in found]
        print(json.dumps({"run_id": run_id, "rank": record.spec.settings.model_dump()["rank"], "ranks": rows}))
        return
    for row in found:
        said = f"{row.held_out_loss:.3f}" if row.held_out_loss is not None else "no number"
        print(f"rank {row.rank:>3}  {said}  {row.kept:.0%} of the update, {row.parameters:,} parameters")


def trained_beside(store: Store, spec: RunSpec) -> Iterator[tuple[int, dict[str, Any]]]:
    """The finished runs of this store that differ from this one in their rank only (alpha / rank may): rank, held-out loss, id."""
    free: Any = {"settings": {"rank", "alpha"}}
    same = spec.model_dump(mode="json", exclude=free)
    for entry in store.entries(limit=10_000):
        other = RunSpec.model_validate_json(entry.spec) if entry.last == "finished" else None
        if other is not None and other.method == "lora" and other.model_dump(mode="json", exclude=free) == same:
            record = analysis.load(store, *entry.key)
            look = record.tuned if record else None
            rank = other.settings.model_dump()["rank"]
            yield rank, {"run_id": entry.key.run_id, "held_out_loss": look.held_out_loss if look else None}


def parse_axis(text: str) -> dict[str, Any]:
    """`method.rank=1,2,4` or `lr=1e-4..1e-2`. Raises `SpecError`."""
    name, equals, values = text.partition("=")
    if not equals or not name.strip() or not values.strip():
        raise SpecError([Problem("axes", f"“{text[:60]}” is not of the form name=value,value.")])
    return typed.axis(name, values)


def _read(file: Path) -> dict[str, Any]:
    """A mapping from a small YAML or JSON file. Raises `SpecError`."""
    try:
        with file.open("rb") as opened:
            found = export.parse_specs(opened.read(export.SPEC_LIMIT + 1))
    except (OSError, yaml.YAMLError) as error:
        raise SpecError([Problem("file", f"{file} cannot be read: {error}.")]) from None
    if len(found) != 1:
        raise SpecError([Problem("file", f"{file} holds {len(found)} specs; one is needed.")])
    return found[0]


def _on_ray(store: Store, address: str, cpus: float, gpus: float, trials: int) -> list[Executor]:
    """An executor for each trial that is under way at once. Raises `SpecError` where Ray is not installed or no cluster answers."""
    from importlib.util import find_spec

    from experiments.sweeps.cluster import RayExecutor

    if find_spec("ray") is None:
        raise SpecError([Problem("ray", "Ray is not installed: pip install -r requirements-cluster.txt.")])
    found = [RayExecutor(store, lab_home(), address, cpus, gpus) for _ in range(trials)]
    try:
        found[0].join()
    except ConnectionError as error:
        raise SpecError([Problem("ray", str(error))]) from None
    return [*found]


def _carry_out(store: Store, spec: sweeps.SweepSpec, executors: Sequence[Executor]) -> sweeps.Progress:
    """Run it to its end."""

    def look(sweep_id: str) -> tuple[str, float] | None:
        now = sweeps.progress(store, sweep_id, owner())
        left = f", about {now.remaining_s:.0f} s left" if now and now.remaining_s else ""
        return (f"{now.done} of {now.total} cells{left}", now.done / now.total) if now else None

    with sweeper_over(store, executors) as sweeper:
        found = sweeps.progress(store, watched(sweeper, spec, look), owner())
    assert found is not None
    return found


def _show_plan(planned: sweeps.Plan, as_json: bool) -> NoReturn:
    if as_json:
        about = {
            "cells": planned.cells,
            "stored": planned.stored,
            "seconds": planned.seconds,
            "sentence": planned.sentence,
        }
        print(json.dumps({"sweep_id": planned.spec.sweep_id, **about, "spec": planned.spec.model_dump(mode="json")}))
    raise typer.Exit(0)


def _finish(found: sweeps.Progress, as_json: bool) -> NoReturn:
    """The result; exit status 0 where the sweep went to its end."""
    if as_json:
        print(records.as_json(found))
    else:
        for line in _lines(found):
            print(line)
    raise typer.Exit(0 if found.state == "finished" else 1)


def _lines(found: sweeps.Progress) -> Sequence[str]:
    results = [(c.values, c.seed, c.metric(found.metric)) for c in found.cells]
    lines = [_line(row.model_dump()) for row in found.rows]
    lines += [
        f"{c.status}: {records.findings.named(c.values)}, seed {c.seed}. {c.cause}"
        for c in found.cells
        if c.status in ("diverged", "failed")
    ]
    shares = guidance.importance(results, found.spec.axes)
    if shares:
        lines.append("What matters: " + ", ".join(f"{place} {share:.0%}" for place, share in shares.items()))
    advice = guidance.guidance(results)
    return [*lines, *(text for text in (advice.sentence, advice.twice, found.verdict, found.sentence) if text)]


def _line(row: Mapping[str, Any]) -> str:
    width = f" ± {row['half_width']:.3f}" if row["half_width"] is not None else ""
    return f"{row['mean']:.3f}{width}  {records.findings.named(row['values'])}"
