"""Generate: one prompt to the base and to tuned runs of it, side by side, with the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from experiments import analysis, questions, shelf
from experiments.analysis import Record
from experiments.catalog import tasks
from experiments.questions import SampleSpec
from experiments.specs import SpecError
from experiments.store import Key
from lab_app import answer_cards, asking, controls, drawn, live, mixing, visitor
from lab_app.controls import Field
from lab_app.lab import Lab

if TYPE_CHECKING:
    from lab_app.layout import Page, Room

TITLE = "Generate"
EMPTY = "Choose tuned runs and ask: the base and each of them answer the same prompt with the same seed."
PRIVATE: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
QUIET: dict[str, Any] = {"queue": False, **PRIVATE}
TAIL: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple", **PRIVATE}
GREEDY = "At temperature 0 the likeliest token is always taken: raise it and ask, then each seed says something else."
FIELDS = ("temperature", "top_p", "max_new_tokens", "seed", "repetition_penalty", "stop_at_end")


@dataclass(frozen=True)
class Parts:
    """What the tab is made of. `asked`: the key of the question it shows; `shown`: the cards of it and those that were kept."""

    runs: gr.CheckboxGroup
    prompt: Field
    probes: gr.Dataset
    sampling: Sequence[Field]
    buttons: Mapping[str, gr.Button]
    status: gr.HTML
    answers: gr.HTML
    file: gr.HTML
    asked: gr.State
    shown: gr.State

    @property
    def form(self) -> tuple[Field, ...]:
        return (self.prompt, *self.sampling)

    @property
    def tailed(self) -> list[Component]:
        """What `draw` gives values for."""
        return [self.status, self.answers, self.buttons["stop"], self.shown]


def build(lab: Lab, page: Page, room: Room) -> None:
    """Draw the tab and wire it."""
    parts = _drawn()
    mixing.build(lab, page.saved, parts.runs, asking.label)
    _wire_choice(lab, page, room, parts)
    _wire_questions(lab, page, parts)
    _wire_cards(lab, page, parts)


def _drawn() -> Parts:
    with gr.Row(elem_classes="columns-2"):
        with gr.Column(scale=2, min_width=320, elem_id="ask"):
            runs = gr.CheckboxGroup([], label="Tuned runs", info=EMPTY, elem_id="runs", interactive=True)
            help = "Anything; the task's own are below. Several at once: a line of --- between them."
            prompt = controls.field("prompt", SampleSpec.model_fields["prompt"], "ask", default="", help=help)
            probes = gr.Dataset(
                components=[prompt.widget],
                samples=_probes([]),
                label="Prompts of the task",
                samples_per_page=6,
                elem_id="probes",
            )
            with gr.Accordion("How to sample", open=False):
                sampling = controls.fields(SampleSpec, "", "ask", FIELDS)
            with gr.Row():
                go = gr.Button("Ask", variant="primary", elem_id="go", min_width=100)
                stop = gr.Button("Stop", elem_id="stop-asking", interactive=False, min_width=100)
            with gr.Row():
                every_probe = gr.Button("Ask all of the task's", size="sm", elem_id="ask-all", min_width=120)
                on_its_way = gr.Button("Ask it on its way", size="sm", elem_id="ask-along", min_width=120)
                told = gr.Button("Answers while it trained", size="sm", elem_id="along", min_width=120)
        with gr.Column(scale=5, min_width=340, elem_id="said"):
            status = drawn.status({"lines": [EMPTY]}, elem_id="ask-status")
            answers = drawn.answers({"cards": []}, elem_id="side-by-side")
            file = drawn.drawn({}, "save.js", "<div></div>", "answers-file")
    buttons = {"go": go, "stop": stop, "every probe": every_probe, "on its way": on_its_way, "told": told}
    said = gr.State(None), gr.State([])
    return Parts(runs, prompt, probes, sampling, buttons, status, answers, file, *said)


def _wire_questions(lab: Lab, page: Page, parts: Parts) -> None:
    """Three buttons ask: what is typed, the task's own prompts, one run as it was on its way; Stop leaves."""
    runs, status, asked, buttons = parts.runs, parts.status, parts.asked, parts.buttons

    def ask(values: dict[Component, Any]) -> dict[Any, Any]:
        return put({**controls.read(parts.form, values), "runs": tuple(values[runs] or ())}, values[page.saved])

    def ask_all(values: dict[Component, Any]) -> dict[Any, Any]:
        chosen = [analysis.load(lab.store, run_id) for run_id in values[runs] or ()]
        text = "\n---\n".join(probe for (probe,) in _probes(chosen)[: questions.MOST_PROMPTS])
        data = {**controls.read(parts.form, values), "prompt": text, "runs": tuple(values[runs] or ())}
        return put(data, values[page.saved]) | {parts.prompt.widget: text}

    def ask_along(values: dict[Component, Any]) -> dict[Any, Any]:
        try:
            columns = asking.along_the_way(lab, values[runs] or (), visitor.owner(values[page.saved]))
        except SpecError as error:
            (problem,) = error.problems
            return {runs: _info(problem.sentence), status: _bad(problem.sentence)}
        return put({**controls.read(parts.form, values), **columns}, values[page.saved])

    def put(data: Mapping[str, Any], kept: Any) -> dict[Any, Any]:
        key, problems = asking.order(lab, asking.split(data), visitor.owner(kept))
        updates: dict[Any, Any] = controls.mark(parts.form, problems)
        updates[runs] = _info(problems.get("runs", ""))
        if problems:
            updates[status] = _bad(*problems.values())
        return {**updates, asked: key, buttons["stop"]: gr.update(interactive=key is not None)}

    def tail(key: Any, seat: live.Seat, before: list[Any]) -> Iterator[Any]:
        kept = [card for card in before if card.get("kept")]
        yield from live.seated(seat, partial(draw, lab, key and Key(*key), kept), 4)

    def leave(key: Any, kept: Any) -> None:
        if key is not None:
            lab.jobs.cancel([Key(*key)], visitor.owner(kept))

    typed = [item.widget for item in parts.form]
    outputs, seat = [runs, *typed, asked, buttons["stop"], status], gr.State(live.Seat())
    for name, handler in {"go": ask, "every probe": ask_all, "on its way": ask_along}.items():
        event = buttons[name].click(handler, {runs, page.saved, *typed}, outputs, concurrency_limit=8, **PRIVATE)
        event.then(tail, [asked, seat, parts.shown], parts.tailed, **TAIL)
    buttons["stop"].click(leave, [asked, page.saved], None, **QUIET)


def _wire_cards(lab: Lab, page: Page, parts: Parts) -> None:
    """What can be done with answers: once more with the next seed, keep, save; and those given while a run trained."""
    asked, shown, answers = parts.asked, parts.shown, parts.answers

    def retry(key: Any, kept: Any, event: gr.EventData) -> list[Any]:
        """The same prompt once more, with the next seed; the key of that question, twice, or a sentence why not."""
        entry = lab.store.entry(*key) if key else None
        if entry is None:
            return [None, gr.skip(), _bad("Ask something first."), gr.skip()]
        spec = SampleSpec.model_validate_json(entry.spec)
        if spec.temperature == 0:
            return [None, gr.skip(), _bad(GREEDY), gr.skip()]
        wish = {"prompt": str((event._data or {}).get("prompt")), "more": (), "seed": spec.seed + 1}
        found, problems = asking.order(lab, spec.model_dump() | wish, visitor.owner(kept))
        if found is None:
            return [None, gr.skip(), _bad(*problems.values()), gr.skip()]
        said = {"tone": "busy", "lines": [f"Asked again with seed {spec.seed + 1}."]}
        return [found, found, said, gr.update(interactive=True)]

    def tail_beside(key: Any, seat: live.Seat, before: list[Any]) -> Iterator[Any]:
        """After Regenerate: in the place of the prompt's card, the others stay."""
        entry = lab.store.entry(*key) if key else None
        anew = SampleSpec.model_validate_json(entry.spec).prompt if entry else None
        others = [card for card in before if card.get("kept") or card["prompt"] != anew]
        yield from live.seated(seat, partial(draw, lab, key and Key(*key), others), 4)

    def keep(before: list[Any], event: gr.EventData) -> tuple[Any, Any]:
        return answer_cards.toggled(before, (event._data or {}).get("id"))

    def told(chosen: list[str], kept: Any, before: list[Any]) -> tuple[Any, Any, Any]:
        return while_it_trained(lab, chosen or [], visitor.owner(kept), before)

    def take(before: list[Any], event: gr.EventData) -> Any:
        return answer_cards.comparison(before, str((event._data or {}).get("as")))

    again, seat, stop = gr.State(None), gr.State(live.Seat()), parts.buttons["stop"]
    put = [again, asked, parts.status, stop]
    anew = answers.retry(retry, [asked, page.saved], put, concurrency_limit=8, **PRIVATE)
    anew.then(tail_beside, [again, seat, shown], parts.tailed, **TAIL)
    answers.like(keep, shown, [answers, shown], **QUIET)
    answers.download(take, shown, parts.file, **QUIET)
    parts.buttons["told"].click(told, [parts.runs, page.saved, shown], [parts.status, answers, shown], **QUIET)


def _info(wrong: str) -> Any:
    """The sentence at the choice of runs."""
    return gr.update(info=wrong or EMPTY, elem_classes=["problem"] if wrong else [])


def _bad(*sentences: str) -> dict[str, Any]:
    return {"tone": "bad", "lines": list(sentences)}


def _wire_choice(lab: Lab, page: Page, room: Room, parts: Parts) -> None:
    """Which runs there are follows the store whenever the tab is opened; the prompts to click on follow the runs."""

    def offer(chosen: list[str], kept: Any, request: gr.Request) -> Any:
        own = asking.choices(lab, visitor.owner(kept), [*visitor.asked(request), *visitor.last_runs(kept)])
        keys = [key for _, key in own]
        picked = [key for key in chosen or [] if key in keys] or [k for k in keys if k in visitor.last_runs(kept)]
        return gr.update(choices=own, value=picked)

    def suggest(chosen: list[str]) -> Any:
        return gr.Dataset(samples=_probes([analysis.load(lab.store, run_id) for run_id in chosen or []]))

    runs, probes = parts.runs, parts.probes
    gr.on(room.opens, offer, [runs, page.saved], runs, concurrency_limit=8, **PRIVATE)
    runs.change(suggest, runs, probes, concurrency_limit=8, **PRIVATE)
    probes.click(lambda sample: sample[0], probes, parts.prompt.widget, **QUIET)


def _probes(records: Sequence[Record | None]) -> list[list[str]]:
    keys = dict.fromkeys(r.spec.task for r in records if r) or [tasks.TASKS[0].key]
    return [[probe] for key in keys for probe in tasks.find(key).probes]


def draw(lab: Lab, key: Key | None, kept: Sequence[Any], still: Callable[[], bool]) -> Iterator[list[Any]]:
    """The answers as they are written, and below them those that were kept."""
    if key is None:
        return
    entry = lab.store.entry(*key)
    runs = SampleSpec.model_validate_json(entry.spec).runs if entry else ()
    records = [record for run_id in runs if (record := analysis.load(lab.store, run_id))]
    for written in live.watch_answer(lab, key, still):
        lines = [written.sentence] if written.sentence else [] if written.is_begun else ["Waiting for the first word."]
        found = [*answer_cards.cards(written, records, key), *kept]
        status = {"tone": "" if written.ended else "busy", "lines": lines, "done": None}
        yield [status, {"cards": found, "tools": True}, gr.update(interactive=not written.ended), found]


def while_it_trained(lab: Lab, run_ids: Sequence[str], owner: str, shown: Sequence[Any]) -> tuple[Any, Any, Any]:
    """What each run said to its task's prompts at its start, on its way and at its end: a column for each step."""
    records = [
        r for run_id in run_ids if shelf.may_see(lab.store, run_id, owner) and (r := analysis.load(lab.store, run_id))
    ]
    found = [card for record in records for card in answer_cards.along(record)]
    if not found:
        said = "Choose a tuned run that gave answers while it trained."
        return _bad(said), gr.skip(), gr.skip()
    kept = [*found, *(card for card in shown if card.get("kept"))]
    return (
        {"lines": ["What it said while it trained, read from the run; nothing was asked anew."]},
        {"cards": kept, "tools": True},
        kept,
    )
