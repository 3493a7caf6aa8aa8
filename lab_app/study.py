"""What the Sweep and the Compare tab share: a form on the left, buttons under it, and on the right a study that is started, stopped, gone
on with, opened by its address, and drawn again and again by a tail of the store.

A study runs beside the page. Anybody who has its link may look at it, only who asked for it can stop it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from experiments.jobs import QueueFull
from experiments.specs import SpecError
from lab_app import drawn, live, own, visitor
from lab_app.lab import Lab

if TYPE_CHECKING:
    from lab_app.layout import Page, Room

EVERY_S = 0.5
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
TAIL: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple"} | QUIET | {"queue": True}
COMMON: dict[str, Any] = {"concurrency_limit": 8, **QUIET, "queue": True}
View = dict[str, Any]
"""What a tab shows: {"id": of a study, or "", "notes": sentences}, and "bad" where they say why nothing was started."""


@dataclass(frozen=True)
class Kind:
    """What is a tab's own. `name` begins the ids of its elements and is the name in the address; `said` is what a study is called.

    `form(lab)` and `results()` draw the two columns, the first of the results being what `draw` draws. `asked(request)`: the id of the
    address; `newest(lab, owner)`: that of the owner's newest study; `visible(lab, id, owner)`: whether they may look at it.
    `begin(lab, form's value, view, owner)` starts what the form says, `resume(lab, id, view, owner)` goes on with a study, `stop(lab, id,
    owner)` stops it. `filled(lab, view, owner)`: the form's value that says what is shown. `draw(lab, view, owner, still)` gives status,
    result and whether one can stop and go on, until it has ended.
    """

    name: str
    said: str
    form: Callable[[Lab], gr.HTML]
    results: Callable[[], Sequence[Any]]
    asked: Callable[[gr.Request | None], str]
    newest: Callable[[Lab, str], str]
    visible: Callable[[Lab, str, str], bool]
    begin: Callable[[Lab, Any, View, str], View]
    resume: Callable[[Lab, str, View, str], View]
    stop: Callable[[Lab, str, str], object]
    filled: Callable[[Lab, View, str], Any]
    draw: Callable[[Lab, View, str, Callable[[], bool]], Iterator[list[Any]]]


@dataclass(frozen=True)
class Parts:
    """What such a tab is made of."""

    view: gr.State
    form: gr.HTML
    start: gr.Button
    stop: gr.Button
    on: gr.Button
    status: gr.HTML
    link: gr.HTML
    use: gr.Button
    results: Sequence[Any]

    @property
    def drawn(self) -> list[Any]:
        return [self.status, self.results[0], self.stop, self.on]


def build(lab: Lab, page: Page, room: Room, kind: Kind) -> Parts:
    """Draw the tab and wire what is common."""
    name, view = kind.name, gr.State({"id": "", "notes": []})
    with gr.Row(elem_classes="columns-2"):
        with gr.Column(scale=2, min_width=320, elem_id=f"{name}-setup"):
            form = kind.form(lab)
            own.build(page.saved, f"{name}-", f"#{name}-task-facts")
            with gr.Row(elem_id=f"{name}-actions"):
                start = gr.Button("Start", variant="primary", elem_id=f"{name}-start", min_width=90)
                stop = gr.Button("Stop", elem_id=f"{name}-stop", interactive=False, min_width=90)
                on = gr.Button("Go on", elem_id=f"{name}-on", visible=False, min_width=90)
        with gr.Column(scale=5, min_width=340, elem_id=f"{name}-results"):
            status = drawn.status({"lines": []}, f"{name}-status")
            with gr.Row(elem_id=f"{name}-share"):
                link = drawn.link("", f"{name}-link", name)
                use = gr.Button("Use these settings", size="sm", elem_id=f"{name}-use", scale=1, min_width=160)
            parts = Parts(view, form, start, stop, on, status, link, use, kind.results())
    _wire(lab, page, room, kind, parts)
    return parts


def _wire(lab: Lab, page: Page, room: Room, kind: Kind, parts: Parts) -> None:
    view, saved = parts.view, page.saved

    def link(shown: View) -> str:
        return f"?{kind.name}={shown['id']}" if shown["id"] else ""

    def arrive(kept: Any, shown: View, request: gr.Request) -> tuple[Any, Any, str]:
        kept = visitor.welcome(kept)
        shown = shown if shown["id"] else first(lab, kind, kept["owner"], kind.asked(request))
        return kept, shown, link(shown)

    def start(value: Any, shown: View, kept: Any) -> tuple[Any, Any, str]:
        kept = visitor.welcome(kept)
        shown = kind.begin(lab, value, shown, kept["owner"])
        return kept, shown, link(shown)

    def go_on(shown: View, kept: Any) -> View:
        return kind.resume(lab, shown["id"], shown, visitor.owner(kept))

    def stop(shown: View, kept: Any) -> None:
        kind.stop(lab, shown["id"], visitor.owner(kept))

    def tail(shown: View, kept: Any, seat: live.Seat) -> Iterator[Any]:
        yield from live.seated(seat, partial(kind.draw, lab, shown, visitor.owner(kept)), len(parts.drawn))

    def use(shown: View, kept: Any) -> Any:
        return kind.filled(lab, shown, visitor.owner(kept))

    seat = gr.State(live.Seat())

    def follow(event: Any) -> None:
        """After an event that changed the view: draw it."""
        event.then(tail, [view, saved, seat], parts.drawn, **TAIL)

    opened = [saved, view, parts.link]
    follow(gr.on(room.opens, arrive, [saved, view], opened, **COMMON))
    follow(parts.start.click(start, [parts.form, view, saved], opened, **COMMON))
    follow(parts.on.click(go_on, [view, saved], view, **COMMON))
    parts.stop.click(stop, [view, saved], None, **QUIET)
    parts.use.click(use, [view, saved], parts.form, **QUIET)


def first(lab: Lab, kind: Kind, owner: str, asked: str) -> View:
    """What the tab shows when it is opened: the study of the address, else the visitor's newest, else none, which is the recorded one."""
    if not asked:
        return {"id": kind.newest(lab, owner) if owner else "", "notes": []}
    if kind.visible(lab, asked, owner):
        return {"id": asked, "notes": []}
    return {"id": "", "notes": [f"This lab has no {kind.said} of that address."]}


def started(start: Callable[[Any, str], str], spec: Any, shown: View, owner: str, notes: Sequence[str] = ()) -> View:
    """The view of a study that is under way now, or the same view and why it is not."""
    try:
        return {"id": start(spec, owner), "notes": list(notes), "turn": time.time()}
    except (QueueFull, SpecError) as error:
        return refused(shown, [str(error)])


def refused(shown: View, reasons: Sequence[str]) -> View:
    """The same view, and why nothing was started."""
    return {"id": shown["id"], "notes": ["Nothing was started.", *reasons], "bad": True}


def buttons(can_stop: bool, can_go_on: bool) -> list[Any]:
    """Stop and “Go on”."""
    return [gr.update(interactive=can_stop), gr.update(visible=can_go_on)]


def resting(shown: View, otherwise: str) -> dict[str, Any]:
    """The status where there is no study to show but the recorded one, if any."""
    lines = shown["notes"] or [otherwise]
    return {"tone": "bad" if shown["notes"] else "", "lines": lines, "done": None}
