"""A box on the Align tab: what the reward model on the screen thinks of typed answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from experiments import events, specs
from experiments.catalog import tasks
from experiments.jobs import QueueFull
from experiments.questions import ScoreSpec
from experiments.specs import SpecError
from experiments.store import Key
from lab_app import align_live, drawn, live, tables, visitor
from lab_app.lab import Lab

PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
SHOWN = 200  # characters of an answer in the table


@dataclass(frozen=True)
class Box:
    """The column, which is there where a reward model is, and what is typed into it."""

    column: gr.Column
    prompt: gr.Textbox
    answers: gr.Textbox
    go: gr.Button
    table: gr.HTML


def build() -> Box:
    """Draw the box where this is called, with a held-out pair in it to begin with."""
    pair: Any = next(t for t in tasks.TASKS if t.pairs).split(None).held_out[0]
    with gr.Column(visible=False, elem_id="align-score") as column:
        with gr.Row():
            prompt = gr.Textbox(
                pair.prompt, label="What was asked", elem_id="align-score-prompt", interactive=True, max_lines=4
            )
            answers = gr.Textbox(
                f"{pair.completion}\n{pair.rejected}", label="Answers to it, one a line", elem_id="align-score-answers",
                interactive=True, lines=2, max_lines=8,
            )  # fmt: skip
        go = gr.Button("Score these answers", size="sm", elem_id="align-score-go")
        table = drawn.table({}, "align-score-table")
    return Box(column, prompt, answers, go, table)


def wire(lab: Lab, box: Box, view: gr.State, saved: gr.BrowserState) -> None:
    """Connect the box with the view, whose reward model is asked."""
    seat = gr.State(live.Seat())

    def score(prompt: str, answers: str, shown: Mapping[str, Any], kept: Any, still: live.Seat) -> Iterator[Any]:
        frames = partial(draw, lab, shown["runs"], visitor.owner(kept), prompt, answers)
        for (drawn_now,) in live.seated(still, frames, 1):  # one output takes a value, not a list of one
            yield drawn_now

    box.go.click(score, [box.prompt, box.answers, view, saved, seat], box.table, concurrency_limit=None, **PRIVATE)


def draw(
    lab: Lab, runs: Sequence[str], owner: str, prompt: str, answers: str, still: Callable[[], bool]
) -> Iterator[list[Any]]:
    """The scores as a table, the best answer first; or one sentence why there are none."""
    judge = align_live.judge_of(live.open_runs(lab, visitor.known(lab.store, runs, owner)))
    if judge is None:
        yield [message("There is no finished reward model on the screen.")]
        return
    typed = [line.strip() for line in answers.splitlines() if line.strip()]
    about = {"model": judge.spec.model, "weights": judge.spec.weights, "runs": [judge.run_id]}
    try:
        spec = specs.build(ScoreSpec, {**about, "prompt": prompt.strip(), "answers": typed})
        key = lab.jobs.ask(spec, owner).key
    except (SpecError, QueueFull) as error:
        yield [message(str(error))]
        return
    yield [message("The reward model reads them.")]
    yield from told(lab, key, spec.answers, still)


def told(lab: Lab, key: Key, answers: Sequence[str], still: Callable[[], bool]) -> Iterator[list[Any]]:
    """The scores once all are there, or why there are none."""
    scores: dict[int, float] = {}
    for event in live.happened(lab, key, still):
        match event:
            case events.Scored():
                scores[event.column] = event.score
            case events.Finished():
                yield [table([(scores.get(i), answer) for i, answer in enumerate(answers)])]
            case events.Failed(cause=cause):
                yield [message(cause)]
            case events.Cancelled() | events.Interrupted():
                yield [message("The lab went away while this was under way; press the button again.")]


def table(found: Sequence[tuple[float | None, str]]) -> dict[str, Any]:
    """Scores and answers, the highest score first."""
    columns = [tables.column("score", help="Only differences count: the higher, the better the reward model likes it."),
               tables.column("words"), tables.column("answer", number=False)]  # fmt: skip
    ranked = sorted(found, key=lambda one: -(one[0] if one[0] is not None else float("inf")))
    rows = [
        {
            "method": "reward",
            "cells": [tables.NONE if score is None else f"{score:+.3f}", str(len(text.split())), text[:SHOWN]],
        }
        for score, text in ranked
    ]
    return {"caption": "What the reward model thinks of them", "columns": columns, "rows": rows}


def message(sentence: str) -> dict[str, Any]:
    return {"caption": sentence, "columns": [], "rows": []}
