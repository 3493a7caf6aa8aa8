"""Rows of a visitor's own, beside the form that trains on them: bring them, say which column is what, see what would be learnt, and how.

One drawn component. A file travels by Gradio's own upload, which is cut off at the limit while it arrives; what a visitor
sends afterwards is a key, columns and a template, and the key is only taken from who brought those rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from experiments import objectives, specs, templates
from experiments.catalog import codec, models
from experiments.catalog.own_data import child, keep, preview, reading
from experiments.catalog.own_data import columns as choice
from experiments.catalog.own_data.columns import Columns
from experiments.catalog.own_data.table import Table, Unreadable
from experiments.specs import SpecError
from lab_app import visitor
from lab_app.drawn import drawn

MARKUP = '<section class="lab-setup lab-own" hidden aria-label="Your own rows"></section>'
IMITATE = "sft"
MOST_TOKENS = 400
"""Of a row on the screen; the rest is counted, not drawn."""
EVENT: dict[str, Any] = {"concurrency_limit": 2, "show_progress": "hidden", "api_visibility": "private"}


def build(saved: gr.BrowserState, group: str = "", after: str = "#rows") -> gr.HTML:
    """Draw it where this is called; it stays folded until “Your own” is chosen in the form of this group (`subject`), where it moves to
    behind the element `after`."""
    part = drawn({}, "own.js", MARKUP, f"{group}own-rows", form={**describe(group), "group": group, "after": after})

    def bring(kept: Any, event: gr.EventData) -> tuple[Any, Any]:
        kept = visitor.welcome(kept)
        return bring_rows(_said(event), kept["owner"]), kept

    def look(kept: Any, event: gr.EventData) -> Any:
        said = _said(event)
        return {**_looked(said, visitor.owner(kept)), "asked": said.get("asked")}

    part.upload(bring, saved, [part, saved], **EVENT)
    part.apply(look, saved, part, trigger_mode="multiple", **EVENT)  # own.js sends one after the other
    return part


def _looked(said: Mapping[str, Any], owner: str) -> dict[str, Any]:
    key = str(said.get("key", ""))
    if not keep.owns(key, owner):
        return {"wrong": {"data": "These rows are not yours, or are not here any more: bring them again."}}
    try:
        return seen(keep.load(key), key, said)
    except Unreadable as error:
        return {"wrong": {"data": str(error)}}


def _said(event: gr.EventData) -> Mapping[str, Any]:
    return event._data if isinstance(event._data, Mapping) else {}


def describe(group: str = "") -> dict[str, Any]:
    """What there is to choose; drawn by assets/own.js. Only the form of Train, which has no group, offers another objective."""
    taken = [o for o in objectives.OBJECTIVES if not group and (o.key == IMITATE or o.feeds == "pairs")]
    longest = Columns.model_fields["max_length"]
    return {
        "parts": [[part, Columns.model_fields[part].title] for part in choice.PARTS],
        "templates": [[key, title] for key, title in templates.KINDS.items()],
        "objectives": [[o.key, o.title] for o in taken],
        "longest": {"label": longest.title, "value": longest.default, "most": choice.LONGEST_ROW},
        "limit": reading.MAX_FILE_BYTES,
    }


def bring_rows(said: Mapping[str, Any], owner: str) -> dict[str, Any]:
    """Read and keep what was brought ({"path", "name"}, {"text"} or {"hub"}), and show it; one sentence where that fails."""
    try:
        table = _read(said)
        key = keep.save(table, owner)
        guessed = choice.guess(table)
        talks = any(isinstance(cell, tuple) for cell in table.column(guessed["completion"])[:50])
        template = templates.CHAT if guessed.get("prompt") or talks else templates.PLAIN
        usual = "dpo" if "rejected" in guessed else "kto" if "label" in guessed else IMITATE
        about = {"columns": guessed, "template": template, "objective": usual}
        return seen(table, key, {**about, "model": said.get("model")})
    except Unreadable as error:
        return {"wrong": {str(said.get("kind", "data")): str(error)}}


def _read(said: Mapping[str, Any]) -> Table:
    match said.get("kind"):
        case "file":
            path = Path(str(said.get("path", ""))).resolve()
            if not path.is_relative_to(Path(gr.utils.get_upload_folder()).resolve()):
                raise Unreadable("This is no file that you uploaded.")
            try:
                return reading.read_file(path, str(said.get("name", ""))[:200])
            finally:
                path.unlink(missing_ok=True)
        case "hub":
            return child.hub(str(said.get("hub", "")).strip())
    return reading.read_pasted(str(said.get("text", "")))


def seen(table: Table, key: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """What the component shows of kept rows under a choice of columns and template; sentences at the fields that are wrong."""
    value: dict[str, Any] = {"key": key, "names": list(table.columns), "columns": said.get("columns") or {}}
    value |= {
        "template": str(said.get("template", "")),
        "objective": str(said.get("objective") or IMITATE),
        "wrong": {},
    }
    try:
        columns = specs.build(Columns, value["columns"])
        value["wrong"] = dict(choice.problems(table, columns))
    except SpecError as error:
        value["wrong"] = {problem.field: problem.sentence for problem in error.problems}
    try:
        templates.check(value["template"])
    except ValueError as error:
        value["wrong"]["template"] = str(error)
    if value["wrong"]:
        return value
    text, note = _codec(str(said.get("model") or ""))
    try:
        shown = preview.preview(table, columns, value["template"], text, _first(said))
    except Unreadable as error:
        return {**value, "wrong": {"data": str(error)}}
    return {**value, **_shown(shown), "warnings": [*([note] if note else []), *shown.warnings]}


def _first(said: Mapping[str, Any]) -> int:
    """From which training row on; whatever else the browser sent is the first."""
    first = said.get("first")
    return first if isinstance(first, int) and first > 0 else 0


def _codec(model: str) -> tuple[tuple[templates.Codec, Any] | None, str]:
    """The model's tokenizer where it is on this machine, else why there is none."""
    try:
        entry = models.find(model)
        weights = models.weights_of(entry) if models.is_ready(entry) else ""
        folder = models.folder(entry, weights) if weights else None
        if folder is None:
            return (
                None,
                f"{entry.title} is not on this machine yet: its tokens are shown once a first run has fetched it.",
            )
        return codec.load(folder), ""
    except ValueError as error:
        return None, str(error)


def _shown(found: preview.Preview) -> dict[str, Any]:
    examples = [
        {"title": f"Row {number}{called}", **_tokens(side)}
        for number, example in enumerate(found.examples, found.first + 1)
        for called, side in _sides(example)
    ]
    counts = {"rows": found.rows, "train": found.train, "held_out": found.held_out}
    return {**counts, "first": found.first, "step": preview.SHOWN, "examples": examples}


def _sides(example: preview.Shown) -> list[tuple[str, preview.Shown]]:
    """What is shown of a row: its answer, both of a pair, or the one with its thumb."""
    if example.worse:
        return [(", the better answer", example), (", the worse answer", example.worse)]
    return [({None: "", True: ", thumb up", False: ", thumb down"}[example.is_good], example)]


def _tokens(side: preview.Shown) -> dict[str, Any]:
    row = side.as_json()
    tokens = [[t, int(learnt)] for t, learnt in zip(row["tokens"], row["in_loss"], strict=True)][:MOST_TOKENS]
    cut = f"Cut after {row['cut_at']:,} tokens; {len(side.ids) - row['cut_at']:,} are lost." if row["cut_at"] else ""
    return {"tokens": tokens, "learnt": sum(row["in_loss"]), "count": len(row["ids"]), "cut": cut}
