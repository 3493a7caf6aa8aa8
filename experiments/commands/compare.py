"""A fair comparison from the command line: several methods within one equal budget, each at a learning rate of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from experiments import comparison, events
from experiments.catalog import models, tasks
from experiments.catalog.cache import lab_home
from experiments.commands.train import pairs
from experiments.commands.watched import Workers, crew, sweeper_over, watched
from experiments.comparison import Comparison, ComparisonSpec, orderings, peft_layout, report, table
from experiments.comparison.running import Comparer
from experiments.jobs import Jobs
from experiments.questions import CalibrateSpec
from experiments.specs import Problem, SpecError
from experiments.store import Store
from experiments.sweeps import typed
from experiments.sweeps.planning import duration
from experiments.terminal import AsJson, app, follow, open_store, owner, people, sentences
from experiments.workers import several


@app.command()
def compare(
    methods: Annotated[
        str, typer.Option(help="With commas between them; settings as lora:rank=4+dora=true.")
    ] = "lora,prompt,prefix,ia3,partial,full",
    model: str = models.MODELS[0].key,
    task: str = tasks.TASKS[0].key,
    budget_steps: Annotated[str, typer.Option(help="Equal steps; 40 where no budget is given.")] = "",
    budget_seconds: Annotated[str, typer.Option(help="Equal seconds of training.")] = "",
    budget_parameters: Annotated[str, typer.Option(help="Equal trainable parameters, by each method's size.")] = "",
    budget_memory: Annotated[str, typer.Option(help="Equal memory at its highest, MB, by smaller batches.")] = "",
    recipe: Annotated[
        list[str] | None, typer.Option("--train", help="A setting of all: steps=40, batch_size=4.")
    ] = None,
    rates: Annotated[str, typer.Option(help="Learning rates each method tries; 1 takes the usual one.")] = "",
    seeds: Annotated[str, typer.Option(help="Each method is run with each of them.")] = "",
    workers: Workers = 0,
    to: Annotated[Path | None, typer.Option("--report", help="A folder for report.html, .md, .csv and .tex.")] = None,
    as_peft: Annotated[
        Path | None, typer.Option(help="A folder for a file a run in the layout of PEFT's method comparison.")
    ] = None,
    show: Annotated[str, typer.Option(help="The id of a stored comparison: shown as it is, nothing is trained.")] = "",
    dry: Annotated[bool, typer.Option("--plan", help="Say what it would take, and start nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Compare methods within an equal budget; stopped with Ctrl+C, the same command goes on from there."""
    amounts = dict(zip(comparison.UNITS, (budget_steps, budget_seconds, budget_parameters, budget_memory), strict=True))
    with sentences(as_json):
        store = open_store()
        if show:
            _finish(_written(store, _stored(store, show), to, as_peft), as_json)
        data = {"model": model, "task": task, "methods": [_method(text) for text in methods.split(",")]}
        spec = comparison.build(
            {**data, "budget": _budget(amounts), "train": pairs(recipe), "rates": rates, "seeds": _seeds(seeds)}
        )
        spec = comparison.ready(spec, local=True)
        _say_plan(spec, store, max(workers, 1))
        if dry:
            raise typer.Exit(0)
        found = _written(store, _carry_out(store, spec, workers), to, as_peft)
    _finish(found, as_json)


def _method(text: str) -> dict[str, Any]:
    """`lora` or `lora:rank=4+dora=true`. Raises `SpecError`."""
    key, _, settings = text.strip().partition(":")
    return {"method": key, "settings": pairs(settings.split("+")) if settings else {}}


def _budget(amounts: dict[Any, str]) -> dict[str, str]:
    """The one budget that was given. Raises `SpecError`."""
    given = {kind: amount for kind, amount in amounts.items() if amount}
    if len(given) > 1:
        raise SpecError([Problem("budget", f"One budget at a time: {' or '.join(given)}.")])
    return next(({"kind": kind, "amount": amount} for kind, amount in given.items()), {})


def _seeds(text: str) -> list[Any]:
    return typed.values(text) if text else []


def _stored(store: Store, comparison_id: str) -> Comparison:
    row = table.visible(store, comparison_id, owner())
    if row is None:
        raise SpecError([Problem("show", f"There is no comparison “{comparison_id[:40]}” in this store.")])
    return comparison.fold(store, row)


def _written(store: Store, found: Comparison, to: Path | None, as_peft: Path | None) -> Comparison:
    """The comparison, its files written where they were asked for."""
    if to:
        people.print("\n".join(str(file) for file in report.write(found, to)), highlight=False, soft_wrap=True)
    if as_peft:
        files = peft_layout.write(store, found, lab_home(), as_peft)
        people.print("\n".join(map(str, files)), highlight=False, soft_wrap=True)
    return found


def _say_plan(spec: ComparisonSpec, store: Store, workers: int) -> None:
    seconds, lines = comparison.plan(spec, store, workers)
    took = f"about {duration(seconds)}" if seconds is not None else "how long is known when each was measured"
    for line in (f"{len(spec.runs)} methods, {spec.budget.said}; {took}.", *lines):
        people.print(line, markup=False, highlight=False, soft_wrap=True)


def _carry_out(store: Store, spec: ComparisonSpec, workers: int) -> Comparison:
    """Run it to its end, on so many workers, or with 0 on as many as train fastest."""
    seconds, _ = comparison.plan(spec, store)
    executors = crew(store, workers, spec.runs, len(spec.runs) * (spec.rates + len(spec.seeds)), seconds)

    def look(comparison_id: str) -> tuple[str, float] | None:
        now = comparison.progress(store, comparison_id, owner(), whole=False)
        left = f", about {duration(now.remaining_s)} left" if now and now.remaining_s else ""
        return (f"{now.stage}{left}", now.share) if now else None

    with sweeper_over(store, executors) as sweeper:
        found = comparison.progress(store, watched(Comparer(sweeper), spec, look), owner())
    assert found is not None
    return found


def _finish(found: Comparison, as_json: bool) -> NoReturn:
    """The result; exit status 0 where the comparison went to its end."""
    print(found.model_dump_json() if as_json else report.plain(found))
    raise typer.Exit(0 if found.state == "finished" else 1)


@app.command("orderings")
def check_orderings(
    model: str = models.MODELS[0].key,
    task: str = tasks.TASKS[0].key,
    steps: Annotated[str, typer.Option(help="Steps of every method.")] = "40",
    seeds: Annotated[str, typer.Option(help="Each method is run with each of them.")] = "0,1,2",
    rounds: Annotated[int, typer.Option(min=1, max=50, help="How often the steps are timed in turn.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Look in miniature for the orderings that PEFT published for a 3B model, and say whether they are there."""
    with sentences(as_json):
        store = open_store()
        asked = {"model": model, "task": task, "methods": orderings.METHODS, "seeds": _seeds(seeds)}
        spec = comparison.ready(comparison.build({**asked, "budget": {"kind": "steps", "amount": steps}}), local=True)
        _say_plan(spec, store, 1)
        found = _carry_out(store, spec, 1)
        if found.state != "finished":
            _finish(found, as_json)
        told = orderings.findings(found, _timed(store, spec, rounds))
    if as_json:
        rows = [{**f.model_dump(), "verdict": f.verdict} for f in told]
        print(json.dumps({"comparison_id": found.comparison_id, "orderings": rows, "made_with": found.made_with}))
    else:
        print(orderings.plain(told))


def _timed(store: Store, spec: ComparisonSpec, rounds: int) -> dict[str, list[float]]:
    """Seconds of a step of some methods, in turn, one worker for all."""
    runs = dict(zip(orderings.NAMES, spec.runs, strict=True))
    jobs = Jobs(store, several(lab_home(), 1)[0])
    taken: dict[str, list[float]] = {name: [] for name in orderings.TIMED}
    try:
        for _ in range(rounds):
            for name in orderings.TIMED:
                told = follow(store, jobs.ask(CalibrateSpec(run=runs[name]), owner(), again=True).key)
                taken[name] += [event.a_step_s for event in told if isinstance(event, events.Calibrated)]
    finally:
        jobs.close()
    return taken
