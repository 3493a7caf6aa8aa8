"""Runs: everything trained so far, to find again, compare, name, keep, take away and put away."""

from __future__ import annotations

import secrets
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from experiments import analysis, export, shelf
from experiments.analysis import Record
from experiments.catalog import models
from experiments.jobs import QueueFull
from experiments.specs import RunSpec, SpecError
from experiments.store import Key
from lab_app import anew, charts, drawn, live, setup, shelf_rows, visitor
from lab_app.lab import Lab
from lab_app.loss_chart import loss_chart

if TYPE_CHECKING:
    from lab_app.layout import Page, Room

TITLE = "Runs"
MOST_SHOWN = 12
KEEP_FILES_S = 3600.0
QUIET: dict[str, Any] = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
CLICK_FILE = (
    "() => document.querySelector('#adapter-file a, a#adapter-file, #adapter-file button, button#adapter-file').click()"
)
MARKUP = """<section class="lab-runs">
<div class="rs-tools"><label>Filter <input type="search" class="rs-filter" autocomplete="off" spellcheck="false"
placeholder="lora rank&gt;=8 held_out&lt;2.5"></label>
<label>Group by <select class="rs-group"><option value="">nothing</option></select></label>
<span class="rs-count" role="status"></span></div>
<p class="rs-wrong" role="status"></p>
<div class="rs-box lab-scroll" tabindex="0" role="region" aria-label="runs"><table class="lab-table">
<thead></thead><tbody></tbody></table><p class="rs-none" hidden></p></div>
<div class="rs-tools"><span class="rs-chosen" role="status"></span>
<button type="button" class="lab-button rs-do-none">Select none</button>
<button type="button" class="lab-button rs-do-pin">Pin</button>
<button type="button" class="lab-button rs-do-delete">Delete</button>
<button type="button" class="lab-button rs-do-undo" hidden>Undo delete</button></div>
<details class="quiet rs-import"><summary>Import a spec</summary>
<label>A file <input type="file" class="rs-file" accept=".yaml,.yml,.json"></label>
<label class="lab-field">or its text, YAML or JSON <textarea class="rs-paste" rows="4" spellcheck="false"></textarea></label>
<button type="button" class="lab-button rs-read">Fill the Train form</button></details></section>"""


def build(lab: Lab, page: Page, room: Room) -> None:
    """Draw the tab and wire it."""

    def moved(run_ids: Any) -> list[int]:
        """How many events each of these runs has; what they are is told by `tick` alone, which knows who asks."""
        known = [r for r in run_ids if isinstance(r, str)][:50] if isinstance(run_ids, list) else []
        return [lab.store.length(run_id) for run_id in known]

    table = drawn.drawn({}, "runs_filter.js runs.js", MARKUP, "shelf", server_functions=[moved])
    said = drawn.status({"lines": []}, "shelf-status")
    with gr.Row(elem_classes="columns-2"):
        with gr.Column(scale=4, min_width=340):
            chart = loss_chart(_no_curves(), "run-curves")
        with gr.Column(scale=3, min_width=320):
            detail = drawn.drawn({}, "run_detail.js", '<div class="lab-detail"></div>', "run-detail")
            further = anew.build("run-anew")
    text_file = drawn.drawn({}, "save.js", "<div></div>", "run-file")
    adapter = gr.DownloadButton(visible="hidden", elem_id="adapter-file")
    saved = page.saved

    def fill(kept: Any, request: gr.Request) -> dict[str, Any]:
        own = shelf.items(lab.store, visitor.owner(kept), _opened(kept, request))
        return {"all": shelf_rows.pack([*own, *shelf_rows.recorded(lab.shipped)]), "stamp": _stamp()}

    def select(kept: Any, event: gr.EventData) -> tuple[Any, Any, Any]:
        return look(lab, visitor.owner(kept), _runs(event)[:MOST_SHOWN])

    def go_on(kept: Any, request: gr.Request, event: gr.EventData) -> tuple[Any, Any, Any, Any]:
        kept = visitor.welcome(kept)
        return kept, *train_further(lab, kept["owner"], anew.said(event), _opened(kept, request))

    def apply(kept: Any, request: gr.Request, event: gr.EventData) -> tuple[Any, Any]:
        return act(lab, visitor.owner(kept), event._data or {}, _opened(kept, request))

    def tick(kept: Any, request: gr.Request, event: gr.EventData) -> Any:
        return {"patch": _patch(lab, visitor.owner(kept), _runs(event), _opened(kept, request)), "stamp": _stamp()}

    def download(kept: Any, event: gr.EventData) -> tuple[Any, Any, Any]:
        try:
            return take_away(lab, visitor.owner(kept), event._data or {}, Path(adapter.GRADIO_CACHE))
        except (export.NothingToExport, OSError) as error:
            return {"tone": "bad", "lines": [str(error)]}, gr.skip(), gr.skip()

    def read(event: gr.EventData) -> tuple[Any, Any]:
        return imported(event._data or {})

    gr.on(room.opens, fill, saved, table, **QUIET)
    table.select(select, saved, [detail, chart, further], **QUIET)
    further.apply(go_on, saved, [saved, table, said, further], concurrency_limit=8, **QUIET | {"queue": True})
    table.tick(tick, saved, table, **QUIET)
    for part in (table, detail):
        part.apply(apply, saved, [table, said], trigger_mode="multiple", **QUIET)  # a second one is not dropped
    detail.download(download, saved, [said, text_file, adapter], **QUIET)
    adapter.change(None, None, None, js=CLICK_FILE)
    if page.form:
        table.upload(read, None, [said, page.form], **QUIET)


def _stamp() -> str:
    return secrets.token_hex(8)


def _runs(event: gr.EventData) -> list[str]:
    """The run ids a script sent; whatever else it may be, only ids come through."""
    runs = (event._data or {}).get("runs") if isinstance(event._data, Mapping) else None
    return [r for r in runs if isinstance(r, str) and visitor.RUN_ID.fullmatch(r)] if isinstance(runs, list) else []


def _opened(kept: Any, request: gr.Request) -> list[str]:
    return [*visitor.asked(request), *visitor.last_runs(kept)]


def _no_curves() -> dict[str, Any]:
    return {
        "title": "Select runs above: their losses are laid over each other here.",
        "steps": 1,
        "base": None,
        "series": [],
    }


def _patch(lab: Lab, owner: str, runs: Sequence[str], opened: Sequence[str]) -> str:
    wanted = set(runs)
    own = shelf.items(lab.store, owner, opened)
    return shelf_rows.pack([item for item in own if item.entry.key.run_id in wanted])


def find(lab: Lab, owner: str, run_ids: Sequence[str]) -> list[Record]:
    """The records of these runs, those of them that this visitor may see."""
    shipped = {record.run_id: record for record in lab.shipped}
    found = []
    for run_id in run_ids:
        record = analysis.load(lab.store, run_id) if shelf.may_see(lab.store, run_id, owner) else shipped.get(run_id)
        if record:
            found.append(record)
    return found


def look(lab: Lab, owner: str, run_ids: Sequence[str]) -> tuple[Any, Any, Any]:
    """What stands below the table for these runs: the detail's value, the chart's, and what can be made of them."""
    records = find(lab, owner, run_ids)
    if not records:
        return {"runs": []}, _no_curves(), {"runs": []}
    first = live.key_of(records[0])
    mine, kept = lab.store.asked(first, owner), shelf.kept_by(lab.store, owner, first.run_id)
    curves = charts.Curves(records).value()
    if len({record.spec.task for record in records}) > 1:
        curves["title"] = "Loss on several tasks, in nats a token: compare shapes, not heights"
    return shelf_rows.detail(records, mine, kept), curves, anew.describe(records, lab.home)


def train_further(lab: Lab, owner: str, told: Mapping[str, Any], opened: Sequence[str]) -> tuple[Any, Any, Any]:
    """Train runs longer or with one change: the new rows, chosen; a sentence; and what is wrong, at its field."""
    records = find(lab, owner, told["runs"][:MOST_SHOWN])
    wanted, wrong = anew.wanted(records, told, lab.home)
    if wrong:
        return gr.skip(), {"lines": []}, anew.describe(records, lab.home) | {"wrong": wrong, "stamp": _stamp()}
    try:
        tickets = lab.jobs.submit(wanted, owner)
    except (QueueFull, SpecError) as error:
        return gr.skip(), {"tone": "bad", "lines": ["Nothing was started.", str(error)]}, gr.skip()
    runs = [ticket.key.run_id for ticket in tickets]
    new = sum(ticket.state == "new" for ticket in tickets)
    lines = (
        [f"{_count(runs[:new])} asked for: chosen in the table, to be watched on Train by “Open in Train”."]
        if new
        else []
    )
    if new < len(runs):
        lines.append(f"{_count(runs[new:])} of that kind was there already: chosen in the table.")
    return {"patch": _patch(lab, owner, runs, opened), "choose": runs, "stamp": _stamp()}, {"lines": lines}, gr.skip()


def act(lab: Lab, owner: str, wish: Mapping[str, Any], opened: Sequence[str]) -> tuple[Any, Any]:
    """Pin, delete, undo, rename or annotate; the rows that changed, and a sentence where there is something to say."""
    runs = [r for r in wish.get("runs") or [] if isinstance(r, str) and visitor.RUN_ID.fullmatch(r)]
    text, lines = str(wish.get("text") or ""), list[str]()
    change: dict[str, Any] = {}
    try:
        match wish.get("do"):
            case "pin":
                for run_id in runs:
                    if shelf.is_yours(lab.store, run_id, owner):
                        shelf.pin(lab.store, owner, run_id, bool(wish.get("on")))
            case "delete":
                change, lines = _delete(lab, owner, runs)
            case "undo":
                shelf.undo_delete(lab.store, owner, runs)
                change, lines = {"deleted": []}, [f"{_count(runs)} back on the shelf."]
            case "rename" if runs:
                shelf.rename(lab.store, owner, runs[0], text)
            case "annotate" if runs:
                shelf.annotate(lab.store, owner, runs[0], text)
    except ValueError as error:
        return gr.skip(), {"tone": "bad", "lines": [str(error)]}
    return {"patch": _patch(lab, owner, runs, opened), "stamp": _stamp(), **change}, {"lines": lines}


def _delete(lab: Lab, owner: str, runs: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    gone = shelf.delete(lab.store, owner, runs)
    yours = [run_id for run_id in runs if run_id not in gone and shelf.is_yours(lab.store, run_id, owner)]
    lines = [f"{_count(gone)} deleted; “Undo delete” brings {'it' if len(gone) == 1 else 'them'} back."] if gone else []
    if yours:
        lines.append(f"{_count(yours)} under way stayed: stop it first.")
    if others := len(runs) - len(gone) - len(yours):
        lines.append(f"{others} of somebody else stayed: only who asked for a run can delete it.")
    return ({"gone": gone, "deleted": gone} if gone else {}), lines


def _count(runs: Sequence[str]) -> str:
    return f"{len(runs)} run" + ("" if len(runs) == 1 else "s")


def take_away(lab: Lab, owner: str, wish: Mapping[str, Any], cache: Path) -> tuple[Any, Any, Any]:
    """One run as a file: a sentence, a text for the browser to save, the path of a zip. Raises `NothingToExport`."""
    kind, runs = str(wish.get("as")), wish.get("runs")
    records = find(lab, owner, [r for r in runs if isinstance(r, str)][:1] if isinstance(runs, list) else [])
    if not records or kind not in export.FORMATS:
        raise export.NothingToExport("There is no such run here.")
    (record,) = records
    name = f"{record.run_id}.{export.FORMATS[kind]}"
    if kind == "adapter":
        return {"lines": []}, gr.skip(), str(_zip(lab, record, cache, name))
    text = {"csv": _csv, "jsonl": _jsonl, "yaml": _yaml}[kind](lab, record)
    return {"lines": []}, {"stamp": _stamp(), "name": name, "mime": "text/plain", "text": text}, gr.skip()


def _csv(lab: Lab, record: Record) -> str:
    return export.curve_csv(record)


def _yaml(lab: Lab, record: Record) -> str:
    return export.spec_yaml(record.spec)


def _jsonl(lab: Lab, record: Record) -> str:
    from experiments import recorded

    rows = lab.store.events(live.key_of(record)) or recorded.rows(record.run_id)[1]
    return "".join(export.events_jsonl(rows))


def _zip(lab: Lab, record: Record, cache: Path, name: str) -> Path:
    """Written where Gradio serves files from, under a name that nobody can guess; older ones are thrown away."""
    root = cache / "adapters"
    for old in root.glob("*"):
        if time.time() - old.stat().st_mtime > KEEP_FILES_S:
            shutil.rmtree(old, ignore_errors=True)
    folder = root / secrets.token_urlsafe(24)
    folder.mkdir(parents=True)
    try:
        with (folder / name).open("wb") as out:
            source = shelf.adapter_folder(Key(record.run_id, record.attempt), lab.home)
            export.adapter_zip(source, out, models.public_name(record.spec.model))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder / name


def imported(wish: Mapping[str, Any]) -> tuple[Any, Any]:
    """A spec that was brought: what to say, and the Train form that says the same."""
    try:
        if "text" not in wish:
            raise SpecError([])
        found = export.read_specs(str(wish["text"]))
    except SpecError as error:
        lines = [p.sentence for p in error.problems] or [f"A spec has at most {export.SPEC_LIMIT // 1000} KB."]
        return {"tone": "bad", "lines": ["Nothing was imported.", *lines]}, gr.skip()
    chosen = _one_comparison(found)
    left = len(found) - len(chosen)
    lines = [
        f"{', '.join(methods_of(chosen))} on {chosen[0].task}, {chosen[0].train.steps} steps: it stands in the Train form now."
    ]
    if left:
        lines.append(f"{left} more in the file were left out: the form holds one comparison, each method once.")
    return {"lines": lines}, setup.filled(chosen)


def methods_of(found: Sequence[RunSpec]) -> list[str]:
    return [shelf_rows._title(spec.method) for spec in found]


def _one_comparison(found: Sequence[RunSpec]) -> list[RunSpec]:
    """Those that can be compared with the first, each method once."""
    first = {spec.method: spec for spec in reversed(found) if spec.comparable == found[0].comparable}
    return [spec for spec in found if first.get(spec.method) is spec]
