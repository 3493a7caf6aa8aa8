"""Vote your own, a fold of the Align tab: two answers of one model to one prompt, blind; from twenty votes on, DPO on them.

Votes are kept in the store for whoever cast them. What is trained on them is an ordinary run on rows of one's own: its spec names them by
their hash, nobody else sees it, and it stands on Runs like any other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from experiments import votes
from experiments.catalog.own_data.table import Unreadable
from experiments.jobs import QueueFull
from experiments.questions import SampleSpec
from experiments.recipe import TrainSettings
from experiments.specs import SpecError
from experiments.votes import Vote
from lab_app import ballot, controls, drawn, live, visitor
from lab_app.controls import Field
from lab_app.lab import Lab

if TYPE_CHECKING:
    from lab_app.layout import Page, Room

QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
COMMON: dict[str, Any] = {"concurrency_limit": 8, **QUIET, "queue": True}
TAIL: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple", **QUIET, "queue": True}
STEPS = 40


@dataclass(frozen=True)
class Parts:
    """The fold. `pair`: the two answers on the screen, as a vote without its verdict; `view`: the run that is drawn."""

    who: gr.Dropdown
    prompt: Field
    temperature: Field
    ask: gr.Button
    status: gr.HTML
    cards: gr.HTML
    sides: dict[str, gr.Button]
    count: gr.HTML
    steps: Field
    train: gr.Button
    forget: gr.Button
    result: tuple[gr.HTML, gr.HTML, gr.HTML]
    stop: gr.Button
    pair: gr.State
    view: gr.State

    @property
    def asked(self) -> list[Any]:
        """What `answered` gives values for."""
        return [self.status, self.cards, self.pair, *self.sides.values()]


def build(lab: Lab, page: Page, room: Room) -> None:
    """Draw the fold where this is called, and wire it."""
    with (
        gr.Accordion("Vote your own: which of two answers is better?", open=False, elem_id="vote"),
        gr.Row(elem_classes="columns-2"),
    ):
        with gr.Column(scale=2, min_width=320):
            who = gr.Dropdown([], label="Who answers?", elem_id="vote-who", interactive=True)
            help = "A question of the task “Answer politely”; or your own."
            prompt = controls.field("prompt", SampleSpec.model_fields["prompt"], "vote", default="", help=help)
            temperature = controls.field("temperature", SampleSpec.model_fields["temperature"], "vote", 1.0)
            ask = gr.Button("Two answers", variant="primary", elem_id="vote-ask")
        with gr.Column(scale=5, min_width=340):
            status = drawn.status({"lines": [ballot.INTRO]}, "vote-status")
            cards = drawn.answers({"cards": []}, "vote-answers")
            with gr.Row():
                sides = {
                    side: gr.Button(title, elem_id=f"vote-{side}", interactive=False, min_width=110)
                    for side, title in ballot.SIDES.items()
                }
            count = drawn.status(ballot.counted([]), "vote-count")
            with gr.Row():
                steps = controls.field("train.steps", TrainSettings.model_fields["steps"], "vote", STEPS)
                train = gr.Button("Train DPO on your votes", elem_id="vote-train", interactive=False, min_width=170)
                stop = gr.Button("Stop", elem_id="vote-stop", interactive=False, min_width=90)
                forget = gr.Button(ballot.FORGET, elem_id="vote-forget", size="sm", min_width=120)
            result = (
                drawn.status({"lines": []}, "vote-run"), drawn.table({}, "vote-table"), drawn.answers({"cards": []}, "vote-said"),
            )  # fmt: skip
    pair, view = gr.State(None), gr.State({"runs": [], "notes": []})
    parts = Parts(
        who, prompt, temperature, ask, status, cards, sides, count, steps, train, forget, result, stop, pair, view
    )
    _wire_votes(lab, page, room, parts)
    _wire_training(lab, page, parts)


def _wire_votes(lab: Lab, page: Page, room: Room, parts: Parts) -> None:
    """Two answers are asked for, a vote is cast, and the next two come by themselves."""
    saved, seat, who = page.saved, gr.State(live.Seat()), parts.who
    counter = [parts.count, parts.train, parts.forget]

    def arrive(kept: Any, chosen: Any) -> tuple[Any, ...]:
        owner = visitor.owner(kept)
        known = ballot.choices(lab, owner)
        chosen = chosen if chosen in [key for _, key in known] else known[0][1] if known else None
        cast = votes.of(lab.store, owner, ballot.model_of(lab, chosen, owner))
        return gr.update(choices=known, value=chosen), ballot.suggestion(cast), *ballot.counter(cast)

    def ask(chosen: Any, prompt: str, temperature: Any, kept: Any, mine: live.Seat) -> Iterator[Any]:
        owner = visitor.owner(kept)
        frames = partial(ballot.answered, lab, chosen, {"prompt": prompt, "temperature": temperature}, owner)
        yield from live.seated(mine, frames, len(parts.asked))

    def vote(side: str, shown: Any, chosen: Any, kept: Any) -> tuple[Any, ...]:
        kept = visitor.welcome(kept)
        try:
            if shown:
                votes.cast(lab.store, kept["owner"], Vote.model_validate({**shown, "better": side}))
            said: Any = {"lines": ["Ask for two answers first."]} if not shown else gr.skip()
        except ValueError as error:
            said = {"tone": "bad", "lines": [str(error)]}
        cast = votes.of(lab.store, kept["owner"], ballot.model_of(lab, chosen, kept["owner"]))
        closed = [gr.update(interactive=False)] * len(ballot.SIDES)
        return kept, said, None, *closed, ballot.suggestion(cast), *ballot.counter(cast)

    def recount(chosen: Any, kept: Any) -> tuple[Any, ...]:
        owner = visitor.owner(kept)
        return ballot.counter(votes.of(lab.store, owner, ballot.model_of(lab, chosen, owner)))

    def forget(label: str, chosen: Any, kept: Any) -> tuple[Any, ...]:
        """At the second press: there is no undo."""
        owner = visitor.owner(kept)
        model = ballot.model_of(lab, chosen, owner)
        cast = votes.of(lab.store, owner, model)
        if cast and label == ballot.FORGET:
            return *ballot.counter(cast)[:-1], ballot.SURE
        if model:
            votes.forget(lab.store, owner, model)
        return ballot.counter(votes.of(lab.store, owner, model))

    inputs = [who, parts.prompt.widget, parts.temperature.widget, saved, seat]
    gr.on(room.opens, arrive, [saved, who], [who, parts.prompt.widget, *counter], **COMMON)
    parts.ask.click(ask, inputs, parts.asked, **TAIL)
    for side, button in parts.sides.items():
        outputs = [saved, parts.status, parts.pair, *parts.sides.values(), parts.prompt.widget, *counter]
        cast = button.click(partial(vote, side), [parts.pair, who, saved], outputs, **COMMON)
        cast.then(ask, inputs, parts.asked, **TAIL)
    who.change(recount, [who, saved], counter, **QUIET)
    parts.forget.click(forget, [parts.forget, who, saved], counter, **QUIET)


def _wire_training(lab: Lab, page: Page, parts: Parts) -> None:
    """A run on the votes, and what is drawn of it."""
    saved, seat, view = page.saved, gr.State(live.Seat()), parts.view

    def train(chosen: Any, steps: Any, kept: Any, shown: Mapping[str, Any]) -> tuple[Any, ...]:
        kept = visitor.welcome(kept)
        try:
            spec = ballot.order(lab, chosen, steps, kept["owner"])
            lab.jobs.submit([spec], kept["owner"])
        except (SpecError, QueueFull, Unreadable) as error:
            problems = {p.field: p.sentence for p in error.problems} if isinstance(error, SpecError) else {}
            wrong = {**shown, "notes": ["Nothing was started.", str(error)], "bad": True}
            return kept, wrong, *controls.mark([parts.steps], problems).values()
        return kept, {"runs": [spec.run_id], "notes": []}, *controls.mark([parts.steps], {}).values()

    def tail(shown: Mapping[str, Any], kept: Any, mine: live.Seat) -> Iterator[Any]:
        frames = partial(ballot.draw, lab, shown, visitor.owner(kept))
        yield from live.seated(mine, frames, len(parts.result) + 1)

    def who_can(kept: Any) -> Any:
        return gr.update(choices=ballot.choices(lab, visitor.owner(kept)))

    def end(shown: Mapping[str, Any], kept: Any) -> None:
        keys = [live.key_of(r) for r in live.open_runs(lab, shown["runs"]) if not r.ended]
        if keys:
            lab.jobs.cancel(keys, visitor.owner(kept))

    started = parts.train.click(
        train, [parts.who, parts.steps.widget, saved, view], [saved, view, parts.steps.widget], **COMMON
    )
    ended = started.then(tail, [view, saved, seat], [*parts.result, parts.stop], **TAIL)
    ended.then(who_can, saved, parts.who, **QUIET)  # the new run can be voted on, too
    parts.stop.click(end, [view, saved], None, **QUIET)
