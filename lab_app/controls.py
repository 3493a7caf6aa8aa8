"""A settings model ↔ its form, made from its pydantic fields: title, limits, unit and help live there and nowhere else.

A form is drawn on the client from `describe` (many settings, one component: assets/fields.js), or built of Gradio's widgets by
`fields` (a few settings beside other widgets).

Limits are not given to the widgets. Gradio would round or refuse a value on its own; the spec's sentence, at the field,
says more. A problem takes the place of the field's help until it is gone.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin

import gradio as gr
from gradio.components import Component
from pydantic import BaseModel
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Field:
    """One widget, the place in the spec that it fills (`settings.rank`), and the help shown under its name."""

    place: str
    widget: Component
    title: str
    help: str
    default: Any


def fields(
    model: type[BaseModel], head: str, group: str, only: Sequence[str] = (), hints: bool = True
) -> tuple[Field, ...]:
    """A widget for each field of a settings model (or for `only` these), in order; drawn where this is called.

    Its element id is GROUP-NAME (`lora-rank`), as scripts and tests know it.
    """
    chosen = {name: info for name, info in model.model_fields.items() if name in only or not only}
    places = ((f"{head}.{name}" if head else name, info) for name, info in chosen.items())
    return tuple(field(place, info, group, help=hint(info) if hints else "") for place, info in places)


def field(place: str, info: FieldInfo, group: str, default: Any = None, help: str = "") -> Field:
    """A widget for one pydantic field."""
    it = described(place.rpartition(".")[2], info, group, default, help)
    common = {"label": it["label"], "info": help, "value": it["value"], "interactive": True, "elem_id": it["id"]}
    return Field(place, _widget(it, common), it["title"], help, it["value"])


def describe(model: type[BaseModel], group: str, only: Sequence[str] = (), hints: bool = True) -> list[dict[str, Any]]:
    """What assets/fields.js draws an input from, for each field of a settings model (or for `only` these), in order."""
    chosen = {name: info for name, info in model.model_fields.items() if name in only or not only}
    return [described(name, info, group, help=hint(info) if hints else "") for name, info in chosen.items()]


def described(name: str, info: FieldInfo, group: str, default: Any = None, help: str = "") -> dict[str, Any]:
    """One field: id, name, title, label with its unit, help, kind of input, choices, default as it is typed."""
    title, unit = info.title or name, str(_extra(info).get("unit") or "")
    kind = _plain(info.annotation)
    kinds = {bool: "bool", int: "int"}
    return {
        "id": f"{group}-{name}", "name": name, "title": title, "help": help,
        "label": f"{title} ({unit})" if unit and not title.lower().endswith(unit.lower()) else title,
        "kind": "choice" if get_origin(kind) is Literal else kinds.get(kind, "text"),
        "choices": list(get_args(kind)) if get_origin(kind) is Literal else [],
        "value": raw(info.default if default is None else default),
    }  # fmt: skip


def hint(info: FieldInfo) -> str:
    """What too low and too high do."""
    return " ".join(str(_extra(info)[k]) for k in ("low", "high") if _extra(info).get(k))


def _extra(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def _widget(it: Mapping[str, Any], common: dict[str, Any]) -> Component:
    match it["kind"]:
        case "choice":
            return gr.Dropdown(choices=it["choices"], filterable=False, **common)
        case "bool":
            return gr.Checkbox(**common)
        case "int":
            return gr.Number(step=1, min_width=90, **common)
    return gr.Textbox(max_lines=2, **common)  # a float, too: “5e-5” is what people type


def _plain(annotation: Any) -> Any:
    """`int` of `int | None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(a for a in get_args(annotation) if a is not type(None))
    return annotation


def raw(value: Any) -> Any:
    """A spec's value as it would be typed."""
    if isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return f"{value:g}"
    return ", ".join(value) if isinstance(value, (tuple, list)) else value


def read(form: Sequence[Field], values: Mapping[Component, Any]) -> dict[str, Any]:
    """What the widgets say, nested as a spec: {"settings": {"rank": 8}, "train": {…}}. An empty text is a missing value."""
    data: dict[str, Any] = {}
    for item in form:
        head, _, name = item.place.rpartition(".")
        value = values[item.widget]
        if isinstance(value, str):
            value = value.strip()
        (data.setdefault(head, {}) if head else data)[name] = value
    return data


def write(form: Sequence[Field], data: Mapping[str, Any]) -> dict[Component, Any]:
    """Set the widgets to a spec's values; those that the spec does not name go back to their default."""
    updates = {}
    for item in form:
        head, _, name = item.place.rpartition(".")
        value = (data.get(head) or {} if head else data).get(name)
        updates[item.widget] = gr.update(value=item.default if value is None else raw(value))
    return updates


def mark(form: Sequence[Field], problems: Mapping[str, str]) -> dict[Component, Any]:
    """Put each problem under its field, and the help back under the others."""
    updates = {}
    for item in form:
        sentence = problems.get(item.place)
        updates[item.widget] = gr.update(info=sentence or item.help, elem_classes=["problem"] if sentence else [])
    return updates


def summary(described: Sequence[Mapping[str, Any]], values: Mapping[str, Any]) -> str:
    """The values of a form in one line, for the title of its fold; what is left empty is left out."""
    parts = []
    for item in described:
        value = values.get(item["name"])
        text = (
            ("on" if value else "off") if isinstance(value, bool) else str(value if value is not None else "").strip()
        )
        if text:
            parts.append(f"{item['title'].lower()} {text if len(text) <= 24 else text[:23] + '…'}")
    return ", ".join(parts)
