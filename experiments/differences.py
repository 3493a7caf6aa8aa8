"""What differs between runs: one sentence, and every setting side by side. Pure functions of specs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments import methods, specs
from experiments.specs import RunSpec

NAMES = {"model": "model", "weights": "weights", "task": "task", "method": "method", "seed": "seed"}
PARTS = ("settings", "goal", "train")
OWN = "train.learning_rate"  # each method has a usual one of its own: between two methods it is a setting of the method


@dataclass(frozen=True)
class Line:
    """One setting of several runs: its place in the spec, its name, and a value for each run, None where it has none."""

    place: str
    title: str
    values: tuple[Any, ...]

    @property
    def equal(self) -> bool:
        return all(value == self.values[0] for value in self.values)


def side_by_side(wanted: Sequence[RunSpec]) -> list[Line]:
    """Every setting that one of these runs has, in the order of the spec."""
    flat = [_flat(spec) for spec in wanted]
    places = dict.fromkeys(place for one in flat for place in one)
    return [
        Line(place, _title(place, wanted), tuple(one.get(place) for one in flat))
        for place in sorted(places, key=_order)
    ]


def _flat(spec: RunSpec) -> dict[str, Any]:
    data = spec.model_dump(mode="json", exclude={"schema_version"})
    found = {place: data[place] for place in NAMES}
    for head in PARTS:
        found |= {f"{head}.{name}": value for name, value in data[head].items()}
    rest = {k: v for k, v in data.items() if k not in (*NAMES, *PARTS) and v is not None}
    return found | rest


def _order(place: str) -> int:
    """Model, task, method, its settings, the objective, then how it is trained; the sort is stable."""
    heads = ("model", "weights", "task", "method", "settings", "objective", "goal", "train")
    head = place.partition(".")[0]
    return heads.index(head) if head in heads else len(heads)


def _title(place: str, wanted: Sequence[RunSpec]) -> str:
    for spec in wanted:
        field = specs.field_of(RunSpec, {"method": spec.method, "objective": spec.objective}, place)
        if field is not None and field.title:
            return str(field.title)
    return place.rpartition(".")[2].replace("_", " ").capitalize()


def sentence(wanted: Sequence[RunSpec]) -> str:
    """What differs, in one sentence: “Only rank: 4 → 16.”"""
    if len(wanted) < 2:
        return ""
    lines = [line for line in side_by_side(wanted) if not line.equal and _counts(line, wanted)]
    if not lines:
        return "Nothing differs: the same spec."
    parts = [f"{_lower(line.title)}: {_values(line, wanted)}" for line in lines]
    if len(parts) == 1:
        return f"Only {parts[0]}."
    return f"{parts[0][0].upper()}{parts[0][1:]}; {'; '.join(parts[1:])}."


def _counts(line: Line, wanted: Sequence[RunSpec]) -> bool:
    """A setting of one method says nothing beside another method, nor does a length beside what trains nothing: such a
    line counts where it differs among runs of one method."""
    whose = [spec.method for spec in wanted]
    if line.place.startswith("goal."):
        whose = [spec.objective for spec in wanted]
    elif line.place.startswith("train.") and line.place != OWN:
        whose = ["any" if methods.find(method).trains else method for method in whose]
    elif not line.place.startswith("settings.") and line.place != OWN:
        return True
    told = {(method, repr(value)) for method, value in zip(whose, line.values, strict=True)}
    return len(told) > len(set(whose))


def _lower(title: str) -> str:
    """Rank → rank, but LoRA+ and DoRA stay."""
    return title if title[1:2].isupper() or title[:2].isupper() else title[:1].lower() + title[1:]


def _values(line: Line, wanted: Sequence[RunSpec]) -> str:
    shown = [show(line.place, value) for value in line.values]
    if len(wanted) == 2:
        return " → ".join(shown)
    return ", ".join(dict.fromkeys(s for s, value in zip(shown, line.values, strict=True) if value is not None))


def show(place: str, value: Any) -> str:
    """A value as a reader writes it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if place == "method":
        return methods.find(value).title
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    text = str(value)
    return f"“{text[:60]}{'…' if len(text) > 60 else ''}”" if " " in text or not text else text
