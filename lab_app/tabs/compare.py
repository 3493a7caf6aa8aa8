"""Compare: several methods within one equal budget. Choose on the left; on the right the table, the plane and the fronts grow.

Comparisons run beside the page (`experiments.comparison.running`); what is common to them and to sweeps is `lab_app.study`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import gradio as gr

from experiments import comparison
from experiments.comparison import Comparison, report, table
from experiments.specs import SpecError
from lab_app import compare_form, compare_parts, compare_view, drawn, study, visitor
from lab_app.lab import Lab
from lab_app.study import QUIET, View

if TYPE_CHECKING:
    from lab_app.layout import Page, Room

TITLE = "Compare"
RECORDED = "A recorded comparison, trained earlier on another machine. Press Start for one of your own."
NONE = "Nothing was compared yet: press Start."
MIMES = {"html": "text/html", "md": "text/markdown", "csv": "text/csv", "tex": "application/x-tex"}


def build(lab: Lab, page: Page, room: Room) -> None:
    """Draw the tab and wire it."""
    parts = study.build(lab, page, room, KIND)
    found, file = parts.results

    def save(shown: View, kept: Any, event: gr.EventData) -> dict[str, Any]:
        return written(look(lab, shown, visitor.owner(kept)), event)

    found.download(save, [parts.view, page.saved], file, **QUIET)


def results() -> tuple[gr.HTML, gr.HTML]:
    """What was found, and the report as a file."""
    found = compare_parts.comparison({}, "compare-found")
    return found, drawn.drawn({}, "save.js", "<div></div>", "compare-file")


def newest(lab: Lab, owner: str) -> str:
    own = table.comparisons(lab.store, owner, 1)
    return own[0].comparison_id if own else ""


def visible(lab: Lab, comparison_id: str, owner: str) -> bool:
    return table.visible(lab.store, comparison_id, owner) is not None


def begin(lab: Lab, value: Any, shown: View, owner: str) -> View:
    """Start what the form says; the new view."""
    spec, wrong = compare_form.order(compare_form.Draft.read(value))
    if spec is None:
        return study.refused(shown, list(dict.fromkeys(wrong.values())))
    try:
        return study.started(lab.comparer.start, comparison.ready(spec), shown, owner)
    except SpecError as error:
        return study.refused(shown, [problem.sentence for problem in error.problems])


def resume(lab: Lab, comparison_id: str, shown: View, owner: str) -> View:
    found = table.find(lab.store, comparison_id, owner)
    return study.started(lab.comparer.start, found.spec, shown, found.owner) if found else shown


def stop(lab: Lab, comparison_id: str, owner: str) -> None:
    lab.comparer.stop(comparison_id, owner)


def filled(lab: Lab, shown: View, owner: str) -> Any:
    found = look(lab, shown, owner)
    return compare_form.filled(found.spec) if found else gr.skip()


def look(lab: Lab, shown: View, owner: str) -> Comparison | None:
    """The comparison of the view as this visitor may see it; without one of theirs the recorded one."""
    row = table.visible(lab.store, shown["id"], owner) if shown["id"] else None
    return comparison.fold(lab.store, row) if row else lab.comparison


def written(found: Comparison | None, event: gr.EventData) -> dict[str, Any]:
    """The report as a file for the browser, in one of the forms there are."""
    form = event._data.get("as") if isinstance(event._data, Mapping) else None
    if found is None or form not in MIMES:
        return {}
    name = f"comparison-{found.comparison_id}.{form}"
    return {"stamp": time.time(), "name": name, "text": report.FORMS[str(form)](found), "mime": MIMES[str(form)]}


def draw(lab: Lab, shown: View, owner: str, still: Callable[[], bool]) -> Iterator[list[Any]]:
    """The right column, again and again until the comparison of the view has ended."""
    row = table.visible(lab.store, shown["id"], owner) if shown["id"] else None
    if row is None:
        recorded = compare_view.value(lab.comparison, "Recorded.") if lab.comparison else {}
        yield [study.resting(shown, RECORDED if lab.comparison else NONE), recorded, *study.buttons(False, False)]
        return
    marker, is_mine, asker = None, row.owner == owner, row.owner
    while still():
        row = table.find(lab.store, shown["id"], asker)
        if row is None:
            return
        found = comparison.fold(lab.store, row, whole=not row.is_under_way)
        seen = (found.state, found.stage, found.remaining_s, [(r.state, r.rates, r.seeds) for r in found.rows])
        if seen != marker:
            marker = seen
            can = study.buttons(is_mine and found.state == "running", is_mine and found.state in ("stopped", "failed"))
            head = compare_view.status(found, shown["notes"], is_mine, bool(shown.get("bad")))
            yield [head, compare_view.value(found), *can]
        if not row.is_under_way:
            return
        time.sleep(study.EVERY_S)


KIND = study.Kind(
    name="compare", said="comparison", form=compare_form.build, results=results, asked=visitor.asked_comparison, newest=newest,
    visible=visible, begin=begin, resume=resume, stop=stop, filled=filled, draw=draw,
)  # fmt: skip
