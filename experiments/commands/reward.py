"""What a reward model thinks of typed answers."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from experiments import analysis, events, specs
from experiments.catalog.cache import lab_home
from experiments.jobs import Jobs
from experiments.questions import ScoreSpec
from experiments.specs import SpecError
from experiments.terminal import AsJson, app, follow, open_store, owner, sentences
from experiments.workers import Inline


@app.command()
def reward(
    run_id: Annotated[str, typer.Option("--run", help="A finished run of the objective “reward”.")],
    prompt: Annotated[str, typer.Option(help="What was asked.")],
    answer: Annotated[list[str], typer.Option(help="An answer to be scored; may be given several times.")],
    as_json: AsJson = False,
) -> None:
    """Give answers the score of a reward model: the higher, the better it likes them."""
    with sentences(as_json):
        store = open_store()
        record = analysis.load(store, run_id)
        if record is None:
            raise SpecError([specs.Problem("run", f"There is no run “{run_id[:40]}” in this store.")])
        about = {"model": record.spec.model, "weights": record.spec.weights, "runs": [run_id]}
        spec = specs.build(ScoreSpec, {**about, "prompt": prompt, "answers": answer})
        jobs = Jobs(store, Inline(store, lab_home()))
        scores: dict[int, float] = {}
        for event in follow(store, jobs.ask(spec, owner()).key):
            if isinstance(event, events.Scored):
                scores[event.column] = event.score
            elif isinstance(event, events.Failed):
                raise SpecError([specs.Problem("run", event.cause)])
        jobs.close()
    found = [{"answer": text, "score": scores[i]} for i, text in enumerate(spec.answers)]
    if as_json:
        print(json.dumps({"run": run_id, "prompt": prompt, "answers": found}))
        return
    for one in sorted(found, key=lambda one: -float(str(one["score"]))):
        print(f"{one['score']:+.3f}  {one['answer']}")
