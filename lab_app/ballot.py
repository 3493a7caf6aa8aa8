"""Behind the fold in which visitors vote: who can answer, two different answers to one prompt, the count, and the run on the votes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gradio as gr

from experiments import fitting, specs, votes
from experiments.analysis import Record
from experiments.catalog import models, tasks
from experiments.catalog.own_data import keep
from experiments.catalog.own_data.table import Unreadable
from experiments.jobs import QueueFull
from experiments.questions import SampleSpec
from experiments.specs import RunSpec
from experiments.store import Key
from experiments.votes import Vote
from lab_app import asking, live, sentences, tables, visitor
from lab_app.lab import Lab

FORGET, SURE = "Forget my votes", "Press again: they are gone for good"
INTRO = "You do not see what made them differ, and there is nothing to see: the same model was asked twice."
SIDES = {"left": "Left is better", "neither": "No difference", "right": "Right is better"}
PROMPTS = "polite"
"""The task whose questions are suggested."""
TRIES = 4
"""How often it is asked again where both answers are the same."""


def choices(lab: Lab, owner: str) -> list[tuple[str, str]]:
    """(label, key) of every base that is here, and (label, run id) of the visitor's own runs that can answer."""
    bases = [(f"{m.title}, the base", m.key) for m in models.available() if models.is_ready(m)]
    return [*bases, *asking.choices(lab, owner, ())]


def run_of(lab: Lab, chosen: Any, owner: str) -> Record | None:
    """The tuned run that was chosen, where it is one that this visitor may see."""
    found = visitor.known(lab.store, [str(chosen)], owner) if visitor.RUN_ID.fullmatch(str(chosen)) else []
    return next(iter(live.open_runs(lab, found)), None)


def model_of(lab: Lab, chosen: Any, owner: str) -> str:
    """The base model that answers, tuned or not; empty where nobody is chosen."""
    run = run_of(lab, chosen, owner)
    return run.spec.model if run else str(chosen or "")


def suggestion(cast: list[Vote]) -> str:
    """A question to vote on: the next one of the task, as often as there are votes."""
    rows = tasks.find(PROMPTS).split().train
    return rows[len(cast) % len(rows)].prompt


# Two answers


def question(lab: Lab, chosen: Any, data: Mapping[str, Any], owner: str, seed: int) -> SampleSpec:
    """One answer of the chosen model. Raises `SpecError`, or `ValueError` for a model that cannot be had."""
    run = run_of(lab, chosen, owner)
    if run:
        about: dict[str, Any] = {"model": run.spec.model, "weights": run.spec.weights, "runs": (run.run_id,)}
    else:
        entry = models.find(str(chosen or ""))
        about = {"model": entry.key, "weights": models.weights_of(entry)}
    asked: SampleSpec = specs.build(SampleSpec, {**about, **data, "seed": seed})
    return asked


def answered(
    lab: Lab, chosen: Any, data: Mapping[str, Any], owner: str, still: Callable[[], bool]
) -> Iterator[list[Any]]:
    """Values of `Parts.asked` until two different answers stand there, or one sentence why they do not."""
    busy = {"tone": "busy", "lines": ["The model answers twice."]}
    off = [gr.update(interactive=False)] * len(SIDES)
    yield [busy, {"cards": []}, None, *off]
    first = len(votes.of(lab.store, owner)) * 2 * TRIES
    for attempt in range(TRIES):
        try:
            asked = [question(lab, chosen, data, owner, first + 2 * attempt + i) for i in (0, 1)]
            left, right = ends(lab, [lab.jobs.ask(spec, owner).key for spec in asked], still)
        except (QueueFull, ValueError) as error:
            yield [{"tone": "bad", "lines": [str(error)]}, {"cards": []}, None, *off]
            return
        if left.strip() != right.strip() and left.strip() and right.strip():
            pair = {
                "asked": " ".join(spec.sample_id for spec in asked), "model": asked[0].model, "run": next(iter(asked[0].runs), ""),
                "prompt": asked[0].prompt, "left": left, "right": right,
            }  # fmt: skip
            yield [{"lines": [INTRO]}, card(pair), pair, *[gr.update(interactive=True)] * len(SIDES)]
            return
    said = "Both answers were the same again and again, or empty: raise the temperature, or ask something else."
    yield [{"tone": "bad", "lines": [said]}, {"cards": []}, None, *off]


def ends(lab: Lab, keys: list[Key], still: Callable[[], bool]) -> list[str]:
    """What was said to each question, once it is written. Raises `ValueError` where one failed."""
    found = []
    for key in keys:
        written = None
        for written in live.watch_answer(lab, key, still):  # noqa: B007 - the last one counts
            pass
        if written is None or not written.ended:
            raise ValueError("Another question took the place of this one.")
        if written.sentence:
            raise ValueError(written.sentence)
        found.append(written.rows[0][-1].text)
    return found


def card(pair: Mapping[str, str]) -> dict[str, Any]:
    """Both answers side by side, nothing marked."""
    columns = [tables.answer(side, "", pair[side]) for side in ("left", "right")]
    return {"cards": [{"prompt": pair["prompt"], "note": "", "columns": columns}]}


def counted(cast: list[Vote]) -> dict[str, Any]:
    """How many votes there are of those that are needed, as a status."""
    pairs, undecided = len(votes.pairs(cast)), sum(vote.pair is None for vote in cast)
    more = f" {undecided} without a difference {'is' if undecided == 1 else 'are'} not counted." if undecided else ""
    copies = len(cast) - undecided - pairs
    more += f" {copies} on the very same two answers {'counts' if copies == 1 else 'count'} once." if copies else ""
    enough = " That is enough to train on." if pairs >= votes.ENOUGH else ""
    line = f"{pairs} of {votes.ENOUGH} votes.{enough}{more}"
    return {"tone": "", "lines": [line], "done": min(1.0, pairs / votes.ENOUGH)}


def counter(cast: list[Vote]) -> tuple[Any, ...]:
    """How many there are, whether that is enough to train on, and the button that forgets them as it was."""
    return counted(cast), gr.update(interactive=len(votes.pairs(cast)) >= votes.ENOUGH), FORGET


# A run on the votes


def order(lab: Lab, chosen: Any, steps: Any, owner: str) -> RunSpec:
    """The run that prefers what this visitor preferred; it begins with the tuned run that answered, or with the base. The rows are kept
    for their owner. Raises `SpecError`, or `Unreadable` where they are too few."""
    run = run_of(lab, chosen, owner)
    cast = votes.of(lab.store, owner, model_of(lab, chosen, owner))
    table = votes.table(cast)
    if len(table.rows) < votes.ENOUGH:
        raise Unreadable(f"{len(table.rows)} votes decide between two answers; {votes.ENOUGH} are needed.")
    about: dict[str, Any] = {"model": model_of(lab, chosen, owner), "method": "lora"}
    if run:
        about |= {"method": run.spec.method, "settings": run.spec.settings.model_dump(), "after": run.run_id}
    wish = {"objective": "dpo", "data": votes.COLUMNS.model_dump(), "train": {"steps": steps}}
    return fitting.ready(specs.build(RunSpec, {**about, **wish, "task": keep.save(table, owner)}))


def draw(lab: Lab, shown: Mapping[str, Any], owner: str, still: Callable[[], bool]) -> Iterator[list[Any]]:
    """Status, table and answers of the run until it has ended; and whether it can be stopped."""
    runs = visitor.known(lab.store, shown["runs"], owner)
    if not runs:
        yield [{"tone": "bad", "lines": shown["notes"]}, {}, {"cards": []}, gr.update(interactive=False)]
        return
    for snapshot in live.watch(lab, runs, owner, still):
        yield [
            sentences.status(snapshot, shown["notes"], bool(shown.get("bad"))), tables.results(snapshot.records),
            tables.samples(snapshot.records), gr.update(interactive=bool(snapshot.wanted)),
        ]  # fmt: skip
