"""A filter of runs, as typed: `lora rank>=8 held_out<2.5 "nice try"`. Every term must hold.

A word (or a phrase in quotes) stands somewhere in the row's texts; `field=value`, `!=`, `<`, `<=`, `>`, `>=` compare a field,
numbers as numbers and all else as text, upper or lower case alike. What was not measured is in no comparison but `!=`. The
page filters in the browser by the same rules (`assets/runs_filter.js`), and a test holds the two together.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TERM = re.compile(r'([a-z_]+)(<=|>=|!=|=|<|>)("[^"]*"|\S*)|"([^"]*)"|(\S+)', re.IGNORECASE)
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.IGNORECASE | re.ASCII)
OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


class FilterError(ValueError):
    """A filter that means nothing, in one sentence."""


@dataclass(frozen=True)
class Term:
    """`field` is empty for a word that may stand anywhere."""

    field: str
    operator: str
    value: str

    def holds(self, row: Mapping[str, Any]) -> bool:
        if not self.field:
            return any(self.value in str(v).lower() for v in row.values() if isinstance(v, str))
        found, wanted = row.get(self.field), number(self.value)
        if found is None or found == "":
            return self.operator == "!="
        mine = number(found)
        if self.operator in ("=", "!="):
            same = mine == wanted if None not in (mine, wanted) else text(found) == self.value
            return same == (self.operator == "=")
        return mine is not None and wanted is not None and OPERATORS[self.operator](mine, wanted)


def text(value: Any) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else str(value).lower()


def number(value: Any) -> float | None:
    """The value as a number, or None where it is none."""
    written = "" if isinstance(value, bool) else str(value).strip()
    return float(written) if NUMBER.fullmatch(written) and math.isfinite(float(written)) else None


def parse(typed: str, fields: Iterable[str]) -> tuple[Term, ...]:
    """The terms of a filter. Raises `FilterError` for a field that no row has, or a comparison with no number."""
    known, terms = sorted(fields), []
    for field, operator, value, phrase, word in TERM.findall(typed):
        if not field:
            terms.append(Term("", "", (phrase or word).lower()))
            continue
        field, value = field.lower(), value.strip('"').lower()
        if field not in known:
            raise FilterError(f"There is no field “{field[:40]}”; there are {', '.join(known)}.")
        if operator in OPERATORS and number(value) is None:
            raise FilterError(f"“{field}{operator}” needs a number after it.")
        terms.append(Term(field, operator, value))
    return tuple(terms)


def chosen(rows: Sequence[Mapping[str, Any]], typed: str) -> list[Mapping[str, Any]]:
    """The rows in which every term holds, in their order. Raises `FilterError`."""
    terms = parse(typed, {field for row in rows for field in row})
    return [row for row in rows if all(term.holds(row) for term in terms)]
