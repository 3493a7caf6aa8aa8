"""Compare: several methods within one equal budget. Choose on the left; on the right the table, the plane and the fronts grow.

Comparisons run beside the page (`experiments.comparison.running`); a tail draws what the store says of them. Anybody who has its link
may look at a comparison, only who asked for it can stop it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import gradio as gr

from experiments import comparison
from experiments.comparison import Comparison, report, table
from experiments.jobs import QueueFull
from experiments.specs import SpecError
from lab_app import compare_form, compare_parts, compare_view, drawn, live, visitor
from lab_app.lab import Lab

if TYPE_CHECKING:
    from lab_app.layout import Page, Room

TITLE = "Compare"
RECORDED = "A recorded comparison, trained earlier on another machine. Press Start for one of your own."
EVERY_S = 0.5
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
TAIL: dict[str, Any] = {"concurrency_limit": None, "trigger_mode": "multiple"} | QUIET | {"queue": True}
MIMES = {"html": "text/html", "md": "text/markdown", "csv": "text/csv", "tex": "application/x-tex"}


@dataclass(frozen=True)
class Parts:
    """What the tab is made of. `view` is what it shows: {"comparison": id, "notes": sentences}."""

    view: gr.State
    form: gr.HTML
    start: gr.Button
    stop: gr.Button
    on: gr.Button
    status: gr.HTML
    link: gr.HTML
    use: gr.Button
    found: gr.HTML
    file: gr.HTML

    @property
    def drawn(self) -> list[Any]:
        return [self.status, self.found, self.stop, self.on]


def build(lab: Lab, page: Page, room: Room) -> None:
    """Draw the tab and wire it."""
    view = gr.State({"comparison": "", "notes": []})
    with gr.Row(elem_classes="columns-2"):
        with gr.Column(scale=2, min_width=320, elem_id="compare-setup"):
            form = compare_form.build(lab)
            with gr.Row(elem_id="compare-actions"):
                start = gr.Button("Start", variant="primary", elem_id="compare-start", min_width=90)
                stop = gr.Button("Stop", elem_id="compare-stop", interactive=False, min_width=90)
                on = gr.Button("Go on", elem_id="compare-on", visible=False, min_width=90)
        with gr.Column(scale=5, min_width=340, elem_id="compare-results"):
            status = drawn.status({"lines": []}, "compare-status")
            with gr.Row(elem_id="compare-share"):
                link = drawn.link("", "compare-link", "compare")
                use = gr.Button("Use these settings", size="sm", elem_id="compare-use", scale=1, min_width=160)
            found = compare_parts.comparison({}, "compare-found")
            file = drawn.drawn({}, "save.js", "<div></div>", "compare-file")
    _wire(lab, page, room, Parts(view, form, start, stop, on, status, link, use, found, file))


def _wire(lab: Lab, page: Page, room: Room, parts: Parts) -> None:
    view, saved = parts.view, page.saved

    def arrive(kept: Any, shown: dict[str, Any], request: gr.Request) -> tuple[Any, Any, str]:
        kept = visitor.welcome(kept)
        shown = shown if shown["comparison"] else first(lab, kept["owner"], visitor.asked_comparison(request))
        return kept, shown, link(shown)

    def start(value: Any, shown: dict[str, Any], kept: Any) -> tuple[Any, Any, str]:
        kept = visitor.welcome(kept)
        shown = begin(lab, compare_form.draft(value), shown, kept["owner"])
        return kept, shown, link(shown)

    def go_on(shown: dict[str, Any], kept: Any) -> dict[str, Any]:
        found = table.find(lab.store, shown["comparison"], visitor.owner(kept))
        return started(lab, found.spec, shown, found.owner) if found else shown

    def stop(shown: dict[str, Any], kept: Any) -> None:
        lab.comparer.stop(shown["comparison"], visitor.owner(kept))

    def tail(shown: dict[str, Any], kept: Any, seat: live.Seat) -> Iterator[Any]:
        yield from live.seated(seat, partial(draw, lab, shown, visitor.owner(kept)), len(parts.drawn))

    def use(shown: dict[str, Any], kept: Any) -> Any:
        found = look(lab, shown, visitor.owner(kept))
        return compare_form.filled(found.spec) if found else gr.skip()

    def save(shown: dict[str, Any], kept: Any, event: gr.EventData) -> dict[str, Any]:
        return written(look(lab, shown, visitor.owner(kept)), event)

    seat = gr.State(live.Seat())

    def follow(event: Any) -> None:
        """After an event that changed the view: draw it."""
        event.then(tail, [view, saved, seat], parts.drawn, **TAIL)

    opened, common = [saved, view, parts.link], {"concurrency_limit": 8, **QUIET, "queue": True}
    follow(gr.on(room.opens, arrive, [saved, view], opened, **common))
    follow(parts.start.click(start, [parts.form, view, saved], opened, **common))
    follow(parts.on.click(go_on, [view, saved], view, **common))
    parts.stop.click(stop, [view, saved], None, **QUIET)
    parts.use.click(use, [view, saved], parts.form, **QUIET)
    parts.found.download(save, [view, saved], parts.file, **QUIET)


def link(shown: Mapping[str, Any]) -> str:
    return f"?compare={shown['comparison']}" if shown["comparison"] else ""


def first(lab: Lab, owner: str, asked: str) -> dict[str, Any]:
    """What the tab shows when it is opened: the comparison of the address, else the visitor's newest, else the recorded one."""
    if asked:
        is_here = table.visible(lab.store, asked, owner) is not None
        notes = [] if is_here else ["This lab has no comparison of that address."]
        return {"comparison": asked if is_here else "", "notes": notes}
    own = table.comparisons(lab.store, owner, 1) if owner else []
    return {"comparison": own[0].comparison_id if own else "", "notes": []}


def begin(lab: Lab, form: compare_form.Draft, shown: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Start what the form says; the new view."""
    spec, wrong = compare_form.order(form)
    if spec is None:
        return refused(shown, list(dict.fromkeys(wrong.values())))
    try:
        return started(lab, comparison.ready(spec), shown, owner)
    except SpecError as error:
        return refused(shown, [problem.sentence for problem in error.problems])


def started(lab: Lab, spec: comparison.ComparisonSpec, shown: Mapping[str, Any], owner: str) -> dict[str, Any]:
    try:
        return {"comparison": lab.comparer.start(spec, owner), "notes": [], "turn": time.time()}
    except (QueueFull, SpecError) as error:
        return refused(shown, [str(error)])


def refused(shown: Mapping[str, Any], reasons: list[str]) -> dict[str, Any]:
    """The same view, and why nothing was started."""
    return {"comparison": shown["comparison"], "notes": ["Nothing was started.", *reasons], "bad": True}


def look(lab: Lab, shown: Mapping[str, Any], owner: str) -> Comparison | None:
    """The comparison of the view as this visitor may see it; without one of theirs the recorded one."""
    row = table.visible(lab.store, shown["comparison"], owner) if shown["comparison"] else None
    return comparison.fold(lab.store, row) if row else lab.comparison


def written(found: Comparison | None, event: gr.EventData) -> dict[str, Any]:
    """The report as a file for the browser, in one of the forms there are."""
    form = event._data.get("as") if isinstance(event._data, Mapping) else None
    if found is None or form not in MIMES:
        return {}
    name = f"comparison-{found.comparison_id}.{form}"
    return {"stamp": time.time(), "name": name, "text": report.FORMS[str(form)](found), "mime": MIMES[str(form)]}


def draw(lab: Lab, shown: dict[str, Any], owner: str, still: Callable[[], bool]) -> Iterator[list[Any]]:
    """The right column, again and again until the comparison of the view has ended."""
    row = table.visible(lab.store, shown["comparison"], owner) if shown["comparison"] else None
    if row is None:
        yield _recorded(lab, shown)
        return
    marker, is_mine, asker = None, row.owner == owner, row.owner
    while still():
        row = table.find(lab.store, shown["comparison"], asker)
        if row is None:
            return
        found = comparison.fold(lab.store, row, whole=not row.is_under_way)
        seen = (found.state, found.stage, found.remaining_s, [(r.state, r.rates, r.seeds) for r in found.rows])
        if seen != marker:
            marker = seen
            buttons = [
                gr.update(interactive=is_mine and found.state == "running"),
                gr.update(visible=is_mine and found.state in ("stopped", "failed")),
            ]
            head = compare_view.status(found, shown["notes"], is_mine, bool(shown.get("bad")))
            yield [head, compare_view.value(found), *buttons]
        if not row.is_under_way:
            return
        time.sleep(EVERY_S)


def _recorded(lab: Lab, shown: Mapping[str, Any]) -> list[Any]:
    """The comparison that ships with the lab, marked as such."""
    lines = shown["notes"] or [RECORDED if lab.comparison else "Nothing was compared yet: press Start."]
    head = {"tone": "bad" if shown["notes"] else "", "lines": lines, "done": None}
    drawn_value = compare_view.value(lab.comparison, "Recorded.") if lab.comparison else {}
    return [head, drawn_value, gr.update(interactive=False), gr.update(visible=False)]
