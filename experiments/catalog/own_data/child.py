"""Opens what can be made to blow up in a process of its own, with a limit on memory and time: Parquet, and hub data sets.

The child prints one JSON object: {"columns", "rows", "notes"}, or {"refused": sentence}. It dies alone. Nothing here runs
code that comes with the data.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from experiments.catalog.own_data.table import Table, Unreadable, build

MEMORY_BYTES = 4 << 30
PARQUET_S, HUB_S = 30, 120


def parquet(data: bytes) -> Table:
    """The table in the bytes of a Parquet file. Raises `Unreadable`."""
    return _ask("parquet_file", "", data, PARQUET_S)


def hub(name: str, as_visitor: bool = True) -> Table:
    """The first rows of a data set of the model hub, `owner/name` or `owner/name:configuration`.

    `as_visitor`: the token of whoever hosts the lab is not used, so nothing private of theirs is shown. Raises `Unreadable`.
    """
    return _ask(
        "hub_dataset", name, b"", HUB_S, {} if not as_visitor else {"HF_TOKEN": "", "HF_TOKEN_PATH": os.devnull}
    )


def _ask(module: str, argument: str, data: bytes, limit_s: float, environment: dict[str, str] | None = None) -> Table:
    command = [sys.executable, "-m", f"experiments.catalog.own_data.{module}", argument]
    plain = {"OMP_NUM_THREADS": "1", "ARROW_DEFAULT_MEMORY_POOL": "system", "HF_HUB_DISABLE_TELEMETRY": "1"}
    try:
        done = subprocess.run(
            command,
            input=data,
            capture_output=True,
            timeout=limit_s,
            env={**os.environ, **plain, **(environment or {})},
            cwd=Path(__file__).parents[3],
        )
    except subprocess.TimeoutExpired:
        raise Unreadable(f"It could not be read within {limit_s:.0f} seconds.") from None
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        raise Unreadable("It could not be read: opening it took more memory than the lab gives.") from None
    if "refused" in answer:
        raise Unreadable(answer["refused"])
    return build(answer["columns"], answer["rows"], answer["notes"])


def limit_memory() -> None:
    """In the child: an allocation beyond the limit fails instead of filling the machine."""
    with contextlib.suppress(ImportError, ValueError, OSError):  # not on every system
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def answer(columns: list[str], rows: list[list[Any]], notes: list[str]) -> None:
    """In the child: print what was found."""
    json.dump({"columns": columns, "rows": rows, "notes": notes}, sys.stdout, default=str)


def refuse(sentence: str) -> None:
    json.dump({"refused": " ".join(sentence.split())[:400]}, sys.stdout)
