"""Base and tuned answers, side by side."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from experiments import analysis, events, specs, states
from experiments.catalog import models
from experiments.catalog.cache import lab_home
from experiments.jobs import Jobs
from experiments.questions import SampleSpec
from experiments.specs import SpecError
from experiments.store import Store
from experiments.terminal import AsJson, app, follow, open_store, owner, sentences
from experiments.workers import Inline


@app.command()
def generate(
    prompt: Annotated[list[str], typer.Option(help="What to ask; may be given several times.")],
    run_ids: Annotated[
        list[str] | None, typer.Option("--run", help="A finished run; may be given several times.")
    ] = None,
    model: Annotated[str, typer.Option(help="The base to ask where no run is named.")] = models.MODELS[0].key,
    temperature: str = "0",
    top_p: str = "1",
    max_new_tokens: str = "60",
    seed: str = "0",
    repetition_penalty: Annotated[str, typer.Option(help="1 is none.")] = "1",
    stop_at_end: Annotated[bool, typer.Option(help="Stop at the end token.")] = True,
    along: Annotated[bool, typer.Option("--along", help="Ask each run at its looks, too, where it kept them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask the base and tuned runs the same question, side by side."""
    with sentences(as_json):
        store = open_store()
        weights, model = _base_of(store, run_ids or [], model)
        asked = [(run, at) for run in run_ids or [] for at in (*(states.looks(lab_home(), run) if along else ()), None)]
        spec = specs.build(
            SampleSpec,
            {
                "model": model, "weights": weights, "runs": [run for run, _ in asked],
                "at": [at for _, at in asked] if along else [], "prompt": prompt[0], "more": prompt[1:],
                "repetition_penalty": repetition_penalty, "stop_at_end": stop_at_end, "temperature": temperature,
                "top_p": top_p, "max_new_tokens": max_new_tokens, "seed": seed,
            },
        )  # fmt: skip
        jobs = Jobs(store, Inline(store, lab_home()))
        key = jobs.ask(spec, owner()).key
        columns = 1 + len(spec.runs)
        written: dict[tuple[int, int], dict[str, Any]] = {}
        for event in follow(store, key):
            if isinstance(event, events.Wrote):
                place = event.row, event.column
                before = written[place]["text"] if place in written else ""
                pace = event.tokens / event.elapsed_s if event.elapsed_s else None
                written[place] = {"text": before + event.text, "tokens": event.tokens, "tokens_per_s": pace}
            elif isinstance(event, events.Failed):
                raise SpecError([specs.Problem("run", event.cause)])
        jobs.close()
    names = ["base", *(run if at is None else f"{run}@{at}" for run, at in spec.columns)]
    found = [
        _answered(prompt, names, [written[row, i] for i in range(columns)]) for row, prompt in enumerate(spec.prompts)
    ]
    if as_json:
        print(json.dumps({**found[0], **({"answers": found} if len(found) > 1 else {})}))
    else:
        for row, one in enumerate(found):
            print(*([one["prompt"]] if len(found) > 1 else []), sep="\n", end="\n" if len(found) > 1 else "")
            for i, name in enumerate(names):
                print(f"{name}: {written[row, i]['text'].strip()}")


def _answered(prompt: str, names: Sequence[str], said: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One prompt with what each model said to it, and how fast."""
    texts = {name: one["text"] for name, one in zip(names, said, strict=True)}
    return {
        "prompt": prompt, "base": texts.pop("base"), "runs": texts,
        "tokens": {name: one["tokens"] for name, one in zip(names, said, strict=True)},
        "tokens_per_s": {name: one["tokens_per_s"] for name, one in zip(names, said, strict=True)},
    }  # fmt: skip


def _base_of(store: Store, run_ids: Sequence[str], model: str) -> tuple[str, str]:
    """The weights and model that these runs were trained on; of the named model where there is no run."""
    for run_id in run_ids:
        record = analysis.load(store, run_id)
        if record is None:
            raise SpecError([specs.Problem("run", f"There is no run “{run_id[:40]}” in this store.")])
        return record.spec.weights, record.spec.model
    return models.weights_of(models.find(model, local=True)), model
