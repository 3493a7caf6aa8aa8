"""The child that reads a Parquet file from standard input. What the file says of itself is held to the limits before
anything is decoded; text stays packed (a dictionary) until its length is known."""

from __future__ import annotations

import sys
from typing import Any

from experiments.catalog.own_data import child
from experiments.catalog.own_data.table import MAX_CELL, MAX_COLUMNS, MAX_FILE_BYTES, MAX_ROWS, MAX_TEXT, Unreadable

MAX_UNPACKED = 400_000_000
AT_A_TIME = 200


def main() -> None:
    child.limit_memory()
    data = sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
    try:
        child.answer(*read(data), [])
    except Unreadable as error:
        child.refuse(str(error))
    except MemoryError:
        child.refuse("It unpacks to more than the lab can hold.")
    except Exception as error:  # pyarrow raises its own and others
        if "malloc" in str(error) or "memory" in str(error).lower():
            child.refuse("It unpacks to more than the lab can hold.")
        else:
            child.refuse(f"The Parquet file cannot be read: {str(error)[:120]}.")


def read(data: bytes) -> tuple[list[str], list[list[Any]]]:
    """Column names and rows. Raises `Unreadable`, or what pyarrow raises."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source = pa.BufferReader(data)
    about = pq.read_metadata(source)
    if about.num_rows > MAX_ROWS:
        raise Unreadable(f"It has {about.num_rows:,} rows; bring the first {MAX_ROWS:,}.")
    if about.num_columns > MAX_COLUMNS:
        raise Unreadable(f"It has {about.num_columns:,} columns; at most {MAX_COLUMNS} can be read.")
    groups = [about.row_group(i) for i in range(about.num_row_groups)]
    unpacked = sum(max(g.column(c).total_uncompressed_size, 0) for g in groups for c in range(about.num_columns))
    if unpacked > MAX_UNPACKED:
        raise Unreadable(f"It unpacks to {unpacked / 1e6:,.0f} MB; at most {MAX_UNPACKED / 1e6:,.0f} MB can be read.")
    schema = pq.read_schema(pa.BufferReader(data))
    packed = [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]
    file = pq.ParquetFile(pa.BufferReader(data), read_dictionary=packed)
    rows: list[list[Any]] = []
    total = 0
    for batch in file.iter_batches(AT_A_TIME, use_threads=False):
        total += _require_short(batch)
        if total > MAX_TEXT:
            raise Unreadable(f"It holds more than {MAX_TEXT / 1e6:,.0f} million characters of text; bring fewer rows.")
        rows += [list(row) for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)]
    return list(schema.names), rows


def _require_short(batch: Any) -> int:
    """The bytes of text in a batch, counted while it is packed. Raises `Unreadable` for a cell that is too long."""
    import pyarrow as pa
    import pyarrow.compute as pc

    total = 0
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if not pa.types.is_dictionary(column.type):
            total += column.nbytes
            continue
        lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
        longest = pc.max(lengths).as_py() or 0
        if longest > 4 * MAX_CELL:  # bytes: a character has at most four
            raise Unreadable(
                f"A cell of “{name[:60]}” holds {longest:,} bytes; at most {MAX_CELL:,} characters can be read."
            )
        total += pc.sum(lengths).as_py() or 0
    return total


if __name__ == "__main__":
    main()
