"""A settings model ↔ widgets, made from its pydantic fields: title, limits, unit and help live there and nowhere else.

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
    name = place.rpartition(".")[2]
    title, unit = info.title or name, str(_extra(info).get("unit") or "")
    label = f"{title} ({unit})" if unit and unit.lower() != title.lower() else title
    value = to_widget(info.default if default is None else default)
    common = {"label": label, "info": help, "value": value, "interactive": True, "elem_id": f"{group}-{name}"}
    return Field(place, _widget(info.annotation, common), title, help, value)


def hint(info: FieldInfo) -> str:
    """What too low and too high do."""
    return " ".join(str(_extra(info)[k]) for k in ("low", "high") if _extra(info).get(k))


def _extra(info: FieldInfo) -> dict[str, Any]:
    return info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}


def _widget(annotation: Any, common: dict[str, Any]) -> Component:
    kind = _plain(annotation)
    if get_origin(kind) is Literal:
        return gr.Dropdown(choices=list(get_args(kind)), filterable=False, **common)
    if kind is bool:
        return gr.Checkbox(**common)
    if kind is int:
        return gr.Number(step=1, min_width=90, **common)
    return gr.Textbox(max_lines=2, **common)  # a float, too: “5e-5” is what people type


def _plain(annotation: Any) -> Any:
    """`int` of `int | None`."""
    if get_origin(annotation) in (Union, types.UnionType):
        return next(a for a in get_args(annotation) if a is not type(None))
    return annotation


def to_widget(value: Any) -> Any:
    """A spec's value as a widget holds it."""
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
        if value == "" and item.place == "train.learning_rate":
            value = None  # the method's own rate
        (data.setdefault(head, {}) if head else data)[name] = value
    return data


def write(form: Sequence[Field], data: Mapping[str, Any]) -> dict[Component, Any]:
    """Set the widgets to a spec's values; those that the spec does not name go back to their default."""
    updates = {}
    for item in form:
        head, _, name = item.place.rpartition(".")
        value = (data.get(head) or {} if head else data).get(name)
        updates[item.widget] = gr.update(value=item.default if value is None else to_widget(value))
    return updates


def mark(form: Sequence[Field], problems: Mapping[str, str]) -> dict[Component, Any]:
    """Put each problem under its field, and the help back under the others."""
    updates = {}
    for item in form:
        sentence = problems.get(item.place)
        updates[item.widget] = gr.update(info=sentence or item.help, elem_classes=["problem"] if sentence else [])
    return updates


def summary(form: Sequence[Field], values: Mapping[Component, Any]) -> str:
    """The values of a form in one line, for the title of its fold."""
    parts = []
    for item in form:
        value = values[item.widget]
        if isinstance(value, bool):
            value = "on" if value else "off"
        elif isinstance(value, float):
            value = f"{value:g}"
        text = str(value if value is not None else "").strip()
        parts.append(f"{item.title.lower()} {text if len(text) <= 24 else text[:23] + '…'}")
    return ", ".join(parts)
