"""Axes as people type them: `1, 2, 4`, `all; q_proj, v_proj` for values that hold commas themselves, `1e-4..1e-2` for a range."""

from __future__ import annotations

from typing import Any

from experiments.specs import Problem, SpecError
from experiments.sweeps.spec import Value


def axis(name: str, text: str) -> dict[str, Any]:
    """One axis as `spec.build` takes it. Raises `SpecError`, at `values`."""
    name, text = name.strip(), text.strip()
    low, dots, high = text.partition("..")
    if not dots:
        return {"place": name, "values": values(text)}
    ends = number(low), number(high)
    if any(isinstance(end, str | bool) for end in ends):
        raise SpecError(
            [Problem("values", f"A range goes from a number to a number, as 1e-4..1e-2; not “{text[:40]}”.")]
        )
    return {"place": name, "low": ends[0], "high": ends[1]}


def values(text: str) -> list[Value]:
    """The numbers, truths and texts of a list. Raises `SpecError` where it is empty."""
    return [number(part) for part in parts(text)]


def parts(text: str) -> list[str]:
    """What stands between commas, or between semicolons where there are any. Raises `SpecError` where nothing does."""
    if found := [part.strip() for part in text.split(";" if ";" in text else ",") if part.strip()]:
        return found
    raise SpecError([Problem("values", "Give it at least one value, with commas between them.")])


def number(text: str) -> Value:
    """The number or truth that a text is, else the text itself."""
    text = text.strip()
    if text.lower() in ("true", "on", "false", "off"):
        return text.lower() in ("true", "on")
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
