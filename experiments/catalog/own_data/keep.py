"""Where rows are kept: under LAB_HOME by the hash of what they hold, whole or not at all, each with those who brought it.

Rows are given only to an owner who brought the very same ones. Owners are kept as hashes: the folder opens nothing.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import time
from collections.abc import Collection
from functools import lru_cache, partial
from pathlib import Path

from experiments.catalog.cache import ResourceError, lab_home, make_once, plain_os_errors
from experiments.catalog.own_data.table import Table, Unreadable, digest, parse

KEY = re.compile(r"data:([0-9a-f]{32})")
QUOTA_BYTES, LAB_BYTES = 100_000_000, 2_000_000_000
"""What is kept of one visitor's rows, and of all."""
DAY_S = 24 * 3600.0
OPERATOR = "command line"
"""Owners that begin so are whoever runs the lab; a visitor's token holds no blank."""


def folder() -> Path:
    return lab_home() / "own-data"


def save(table: Table, owner: str) -> str:
    """Keep these rows for this owner; their key, `data:HASH`. Raises `Unreadable` where disk or quota take no more."""
    content = table.canonical()
    name = digest(content)
    _require_room(owner, name, len(content))
    try:
        kept = make_once(folder() / name, partial(_write, content), good=_is_whole)
        with plain_os_errors(kept):
            (kept / "owners").mkdir(exist_ok=True)
            (kept / "owners" / _mark(owner)).touch()
    except (ResourceError, OSError):  # a visitor is not told where
        raise Unreadable("The rows were not saved: the disk of this lab is full or cannot be written.") from None
    return f"data:{name}"


def _require_room(owner: str, name: str, size: int) -> None:
    """Raise `Unreadable` where these rows would take their owner, or the lab, over what is kept."""
    sizes = {kept: size for kept in _kept() if (size := _size(kept / "rows.jsonl"))}
    if folder() / name in sizes:
        return
    own = sum(size for kept, size in sizes.items() if (kept / "owners" / _mark(owner)).is_file())
    if own + size > QUOTA_BYTES and not owner.startswith(OPERATOR):
        raise Unreadable(
            f"You have {own / 1e6:,.0f} MB of rows here and these are {size / 1e6:,.0f} MB; at most {QUOTA_BYTES / 1e6:,.0f} MB "
            "are kept for one visitor. What no run of yours is on goes after a day."
        )
    if sum(sizes.values()) + size > LAB_BYTES:
        raise Unreadable("This lab keeps as many rows as it can; try again tomorrow, when what nobody uses has gone.")


def _kept() -> list[Path]:
    """The folders of rows, without those that are being written."""
    here = list(folder().iterdir()) if folder().is_dir() else []
    return [kept for kept in here if KEY.fullmatch(f"data:{kept.name}")]


def _size(file: Path) -> int:
    """Its bytes; 0 where somebody throws it away meanwhile."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0


def tidy(in_use: Collection[str], older_s: float = DAY_S) -> list[str]:
    """Throw away the rows that no run is on and that nobody brought within `older_s`; their keys."""
    gone = []
    for kept in _kept():
        key = f"data:{kept.name}"
        if key not in in_use:
            brought = max((mark.stat().st_mtime for mark in kept.glob("owners/*")), default=kept.stat().st_mtime)
            if time.time() - brought > older_s:
                shutil.rmtree(kept, ignore_errors=True)
                gone.append(key)
    return gone


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
