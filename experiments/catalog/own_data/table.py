"""Rows under named columns, whatever file they came from: cells are text, or the turns of a conversation.

The canonical form (JSON lines) is what is stored and hashed, so the same rows are the same data from a CSV and from a
Parquet file.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

MAX_FILE_BYTES = 20_000_000
MAX_ROWS = 50_000
MAX_COLUMNS = 64
MAX_CELL = 100_000
"""Characters of one cell."""
MAX_TEXT = 60_000_000
"""Characters of all cells."""
MAX_NAME = 200

Turns = tuple[tuple[str, str], ...]
Cell = str | Turns
ROLES = {"human": "user", "user": "user", "prompter": "user", "gpt": "assistant", "assistant": "assistant"}
ROLES |= {"bot": "assistant", "chatgpt": "assistant", "model": "assistant", "system": "system"}
SURROGATES = re.compile("[\ud800-\udfff]")


class Unreadable(ValueError):
    """These rows cannot be used; the message is one sentence for the person who brought them."""

    def __init__(self, sentence: str):
        super().__init__(
            "".join(c if c.isprintable() else "\ufffd" for c in sentence)
        )  # a column's name may hold anything


@dataclass(frozen=True)
class Table:
    """`rows` have a cell for each column. `notes`: sentences on how it was read, for the person who brought it."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def canonical(self) -> bytes:
        """JSON lines: the columns, then each row. Notes are left out."""
        lines = [json.dumps({"columns": self.columns}, ensure_ascii=False)]
        lines += [json.dumps(row, ensure_ascii=False, separators=(",", ":")) for row in self.rows]
        return "\n".join(lines).encode()

    def column(self, name: str) -> list[Cell]:
        at = self.columns.index(name)
        return [row[at] for row in self.rows]


def digest(canonical: bytes) -> str:
    """The name of these rows: 32 hex digits of the SHA-256 of their canonical form."""
    return hashlib.sha256(canonical).hexdigest()[:32]


def parse(canonical: bytes) -> Table:
    """A table from its canonical form. Raises `ValueError` where it is none."""
    first, *lines = canonical.decode().split("\n")
    rows = tuple(
        tuple(c if isinstance(c, str) else tuple((str(r), str(t)) for r, t in c) for c in json.loads(line))
        for line in lines
    )
    return Table(tuple(json.loads(first)["columns"]), rows)


def build(columns: Sequence[str], rows: Iterable[Sequence[Any]], notes: Sequence[str] = ()) -> Table:
    """A table of what a reader found, held to the limits. Raises `Unreadable`."""
    names = [clean(str(name)).strip() or f"column {i}" for i, name in enumerate(columns, 1)]
    if not names:
        raise Unreadable("There is no column in it.")
    if len(names) > MAX_COLUMNS:
        raise Unreadable(f"It has {len(names):,} columns; at most {MAX_COLUMNS} can be read.")
    if long := next((name for name in names if len(name) > MAX_NAME), None):
        raise Unreadable(
            f"The column name “{long[:40]}…” has {len(long):,} characters; the first row must be the header."
        )
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise Unreadable(f"Two columns are called “{twice[:60]}”; give each its own name.")
    made, total = [], 0
    for number, values in enumerate(rows, 1):
        if number > MAX_ROWS:
            raise Unreadable(f"It has more than {MAX_ROWS:,} rows; bring the first {MAX_ROWS:,}.")
        row = tuple(cell(value) for value in values)
        sizes = [size(c) for c in row]
        total += sum(sizes)
        if max(sizes) > MAX_CELL:
            where = names[sizes.index(max(sizes))]
            raise Unreadable(
                f"Row {number:,} holds {max(sizes):,} characters in “{where[:60]}”; at most {MAX_CELL:,} can be read."
            )
        if total > MAX_TEXT:
            raise Unreadable(f"It holds more than {MAX_TEXT / 1e6:,.0f} million characters of text; bring fewer rows.")
        if any(row):
            made.append(row)
    if not made:
        raise Unreadable("There is no row in it.")
    return Table(tuple(names), tuple(made), tuple(notes))


def of_records(records: Sequence[Mapping[str, Any]], notes: Sequence[str] = ()) -> Table:
    """A table of JSON objects; a key that one of them lacks is an empty cell. Raises `Unreadable`."""
    names: dict[str, None] = {}
    for record in records:
        names.update(dict.fromkeys(record))
        if len(names) > MAX_COLUMNS:
            raise Unreadable(f"Its rows have more than {MAX_COLUMNS} different fields.")
    return build(list(names), ([record.get(name) for name in names] for record in records), notes)


def noted(table: Table, *sentences: str) -> Table:
    return replace(table, notes=(*table.notes, *filter(None, sentences)))


def cell(value: Any) -> Cell:
    """A value of a file as text, or as turns where it is a list of chat messages."""
    if value is None or value == []:
        return ""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping) and (alone := _turn(value)):
        return (alone,)
    if isinstance(value, (list, tuple)) and value and all(isinstance(v, Mapping) for v in value):
        turns = [_turn(v) for v in value]
        if all(turns):
            return tuple(t for t in turns if t)
    return clean(json.dumps(value, ensure_ascii=False, default=str))


def _turn(message: Mapping[str, Any]) -> tuple[str, str] | None:
    """(role, text) of {"role", "content"} or ShareGPT's {"from", "value"}."""
    role, content = message.get("role", message.get("from")), message.get("content", message.get("value"))
    if isinstance(content, list):  # parts; what is not text is left out
        content = "".join(str(p.get("text") or "") for p in content if isinstance(p, Mapping))
    if not isinstance(role, str) or not isinstance(content, str):
        return None
    return ROLES.get(role.lower(), clean(role)[:40]), clean(content)


def text_of(value: Cell) -> str:
    """A cell as text; a conversation as its lines."""
    return value if isinstance(value, str) else "\n".join(text for _, text in value)


def size(value: Cell) -> int:
    return len(value) if isinstance(value, str) else sum(len(text) for _, text in value)


def clean(text: str) -> str:
    """Text that can be encoded: half a surrogate pair becomes the replacement character; line ends are “\\n”."""
    return SURROGATES.sub("\ufffd", text).replace("\r\n", "\n")
