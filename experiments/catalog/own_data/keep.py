"""Where rows are kept: under LAB_HOME by the hash of what they hold, whole or not at all, each with those who brought it.

Rows are given only to an owner who brought the very same ones. Owners are kept as hashes: the folder opens nothing.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache, partial
from pathlib import Path

from experiments.catalog.cache import ResourceError, lab_home, make_once, plain_os_errors
from experiments.catalog.own_data.table import Table, Unreadable, digest, parse

KEY = re.compile(r"data:([0-9a-f]{32})")
OPERATOR = "command line"
"""Owners that begin so are whoever runs the lab; a visitor's token holds no blank."""


def folder() -> Path:
    return lab_home() / "own-data"


def save(table: Table, owner: str) -> str:
    """Keep these rows for this owner; their key, `data:HASH`. Raises `Unreadable` where the disk takes no more."""
    content = table.canonical()
    name = digest(content)
    try:
        kept = make_once(folder() / name, partial(_write, content), good=_is_whole)
        with plain_os_errors(kept):
            (kept / "owners").mkdir(exist_ok=True)
            (kept / "owners" / _mark(owner)).touch()
    except (ResourceError, OSError):  # a visitor is not told where
        raise Unreadable("The rows were not saved: the disk of this lab is full or cannot be written.") from None
    return f"data:{name}"


def _write(content: bytes, target: Path) -> None:
    target.mkdir()
    (target / "rows.jsonl").write_bytes(content)


def _is_whole(target: Path) -> bool:
    return (target / "rows.jsonl").is_file()


def owns(key: str, owner: str) -> bool:
    """Whether this owner brought these rows; whoever runs the lab owns all."""
    found = KEY.fullmatch(key)
    if not found or not owner:
        return False
    return owner.startswith(OPERATOR) or (folder() / found.group(1) / "owners" / _mark(owner)).is_file()


def _mark(owner: str) -> str:
    return hashlib.sha256(b"own data\0" + owner.encode()).hexdigest()[:32]


def load(key: str) -> Table:
    """The rows of `data:HASH`. Asks for no owner: see `owns`. Raises `Unreadable`: not here, damaged."""
    found = KEY.fullmatch(key)
    if not found:
        raise Unreadable(f"“{key[:40]}” names no rows.")
    return _load(folder() / found.group(1) / "rows.jsonl")


@lru_cache(maxsize=3)
def _load(file: Path) -> Table:
    try:
        content = file.read_bytes()
    except OSError:
        raise Unreadable("The rows of this run are not on this machine any more; bring them again.") from None
    if digest(content) != file.parent.name:
        raise Unreadable("The rows of this run were changed on the disk; bring them again.")
    return parse(content)
