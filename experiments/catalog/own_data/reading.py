"""From the bytes of a file to a table: CSV, TSV, JSON lines, JSON, plain text here, Parquet in a process of its own.

What a file is, its first bytes say, then its name, then its text. Limits come before decoding; every refusal is one
sentence (`Unreadable`). A cell is text whatever it looks like: no formula, markup or number is ever interpreted.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.catalog.own_data.table import MAX_FILE_BYTES, Table, Unreadable, build, noted, of_records

MAX_DEPTH = 32
MAGIC = {
    b"PK\x03\x04": "a ZIP archive or an Excel file; save its sheet as CSV",
    b"\x1f\x8b": "a gzip archive; unpack it first",
    b"%PDF": "a PDF; bring its text",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file; save it as CSV",
    b"\x89PNG": "an image",
    b"\xff\xd8\xff": "an image",
    b"BZh": "a bzip2 archive; unpack it first",
    b"7z\xbc\xaf": "a 7z archive; unpack it first",
    b"SQLite format 3": "a database; export the table as CSV",
    b"\x80\x04\x95": "a Python pickle, which the lab never opens",
    b"\x80\x05\x95": "a Python pickle, which the lab never opens",
}
TOO_DEEP = f"It is nested more than {MAX_DEPTH} levels deep; a row is an object with named fields."
MAX_LISTS = 2_000_000
"""Lists and objects of a JSON file: an empty one takes three bytes there and sixty in memory."""


def read_file(path: Path, name: str = "") -> Table:
    """The table in a file. Raises `Unreadable`."""
    try:
        if not path.is_file():
            raise Unreadable(f"There is no file {path.name[:80]}.")
        _require_size(path.stat().st_size)
        data = path.read_bytes()
    except OSError as error:
        raise Unreadable(f"The file cannot be read: {error.strerror or error}.") from None
    return read(data, name or path.name)


def read(data: bytes, name: str = "") -> Table:
    """The table in these bytes; `name` helps to tell what they are. Raises `Unreadable`."""
    _require_size(len(data))
    if not data.strip():
        raise Unreadable("The file is empty.")
    if data[:4] == b"PAR1":
        from experiments.catalog.own_data import child

        return child.parquet(data)
    for magic, what in MAGIC.items():
        if data.startswith(magic):
            raise Unreadable(f"This is {what}.")
    text, note = decode(data)
    if not text.strip():
        raise Unreadable("The file is empty.")
    return noted(_reader(text, Path(name).suffix.lower())(text), note)


def read_pasted(text: str) -> Table:
    """The table in pasted text. Raises `Unreadable`."""
    return read(text.encode("utf-8", "replace"), "")


def _require_size(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise Unreadable(f"The file has {size / 1e6:,.1f} MB; at most {MAX_FILE_BYTES / 1e6:,.0f} MB can be read.")


def decode(data: bytes) -> tuple[str, str]:
    """The text, and a sentence where its encoding had to be guessed. Raises `Unreadable` for what is no text."""
    for mark, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if data.startswith(mark):
            try:
                return data.decode(encoding), ""
            except UnicodeDecodeError:
                raise Unreadable(f"The file says that it is {encoding.upper()} and is not; save it as UTF-8.") from None
    if b"\0" in data:
        raise Unreadable("This is a binary file; bring CSV, TSV, JSON, JSON lines, Parquet or plain text.")
    try:
        text, note = data.decode("utf-8"), ""
    except UnicodeDecodeError:
        note = (
            "The file is not UTF-8; it was read as Western European (Windows-1252): look whether its accents are right."
        )
        try:
            text = data.decode("cp1252")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
    odd = sum(1 for c in text[:100_000] if ord(c) < 32 and c not in "\t\n\r\f\x0b\x1b" or 127 <= ord(c) < 160)
    if odd > 0.02 * min(len(text), 100_000):
        raise Unreadable("This is a binary file; bring CSV, TSV, JSON, JSON lines, Parquet or plain text.")
    return text, note


def _reader(text: str, suffix: str) -> Callable[[str], Table]:
    named = {".csv": read_csv, ".tsv": read_csv, ".jsonl": read_json_lines, ".ndjson": read_json_lines}
    named |= {".json": read_json, ".txt": read_text, ".md": read_text}
    if suffix in named:
        return named[suffix]
    first = text.lstrip()[:1]
    if first in "[{":
        lines = text.strip().split("\n")
        return read_json_lines if len(lines) > 1 and lines[0].rstrip().endswith(("}", "]")) else read_json
    header, _, rest = text.strip().partition("\n")
    return read_csv if rest and any(d in header for d in "\t,;") and _delimiter(text) else read_text


def read_csv(text: str) -> Table:
    """Comma-, semicolon- or tab-separated text whose first row names the columns. Raises `Unreadable`."""
    delimiter = _delimiter(text) or ("\t" if "\t" in text.split("\n", 1)[0] else ",")
    records = _records(text, delimiter)
    header = next(records, (0, []))[1]
    if not header:
        raise Unreadable("The first row names no columns.")

    def rows() -> Iterator[list[str]]:
        for line, record in records:
            if len(record) != len(header):
                raise Unreadable(
                    f"Line {line:,} has {_count(len(record), 'cell')} and the header has {_count(len(header), 'column')}."
                )
            yield record

    return build(header, rows())


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each record that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        for record in reader:
            if record:
                yield reader.line_num, record
    except csv.Error as error:
        reason = "a cell is far too long" if "field limit" in str(error) else f"the quotes are not closed ({error})"
        raise Unreadable(f"Line {reader.line_num:,} cannot be read: {reason}.") from None


def _delimiter(text: str) -> str | None:
    """What parts most of the first records into as many cells as the header, if anything parts them at all."""
    best, most = None, 1
    for delimiter in ("\t", ",", ";"):
        try:
            head = [len(r) for (_, r), _ in zip(_records(text, delimiter), range(20), strict=False)]
        except Unreadable:
            continue
        if head and head[0] > most and sum(n == head[0] for n in head) > len(head) / 2:
            best, most = delimiter, head[0]
    return best


def read_json_lines(text: str) -> Table:
    """One JSON object a line. Raises `Unreadable`."""
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            records.append(_record(_json(line, f"Line {number:,}"), f"line {number:,}"))
    return of_records(records)


def read_json(text: str) -> Table:
    """A list of objects, an object with one such list in it, or an object of columns. Raises `Unreadable`."""
    found = _json(text, "The file")
    if isinstance(found, dict):
        lists = {name: v for name, v in found.items() if isinstance(v, list)}
        if len(lists) > 1 and len(lists) == len(found) and len({len(v) for v in lists.values()}) == 1:
            return build(list(lists), zip(*lists.values(), strict=True))
        if len(lists) == 1 and "messages" not in lists and "conversations" not in lists:
            found = next(iter(lists.values()))
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list):
        raise Unreadable("The file holds no list of rows.")
    return of_records([_record(item, f"item {i:,}") for i, item in enumerate(found, 1)])


def read_text(text: str) -> Table:
    """Plain text: a row for each paragraph; for each line where no blank line parts it. Raises `Unreadable`."""
    parts = re.split(r"\n[ \t\r]*\n", text.strip())
    rows = parts if len(parts) > 1 else text.strip().split("\n")
    return build(["text"], [[row.strip()] for row in rows if row.strip()])


def _record(item: Any, where: str) -> Mapping[str, Any]:
    if isinstance(item, dict):
        return item
    if isinstance(item, str):
        return {"text": item}
    if isinstance(item, list) and item and all(isinstance(turn, dict) for turn in item):
        return {"messages": item}
    raise Unreadable(f"{where.capitalize()} is no row: a row is an object with named fields.")


def _json(text: str, what: str) -> Any:
    if text.count("[") + text.count("{") > MAX_LISTS:
        raise Unreadable(f"{what} holds more than {MAX_LISTS:,} lists and objects.")
    try:
        found = json.loads(text)
    except RecursionError:
        raise Unreadable(TOO_DEEP) from None
    except ValueError as error:
        reason = getattr(error, "msg", str(error))[:80]
        line = f" at line {error.lineno:,}" if isinstance(error, json.JSONDecodeError) and error.lineno > 1 else ""
        raise Unreadable(f"{what} is not JSON: {reason}{line}.") from None
    _require_shallow(found)
    return found


def _require_shallow(found: Any) -> None:
    level = [found]
    for _ in range(MAX_DEPTH):
        level = [
            inner for v in level if isinstance(v, list | dict) for inner in (v.values() if isinstance(v, dict) else v)
        ]
        if not level:
            return
    raise Unreadable(TOO_DEEP)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
