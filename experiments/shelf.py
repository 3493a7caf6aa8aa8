"""Which runs a visitor has before them, and what they made of them: names, notes, pins, and what they put away.

`may_see` is the one answer to who may look at a run. Names, notes and pins are their owner's alone: two who asked for the
same run each have their own. To delete is to hide for that owner, and can be undone; events are never thrown away, adapter
files, checkpoints and the adapters of looks only by `sweep`, when nobody has kept the run for a day.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from experiments import states
from experiments.gists import Gist, gists
from experiments.store import LAST, Entry, Key, Store

COMMAND_LINE = "command line"
"""How the name of an owner begins who works at this machine's command line; their runs are there for everybody."""
NAME_LIMIT, NOTE_LIMIT = 80, 2000
KEEP_S = 24 * 3600.0

Origin = Literal["yours", "recorded", "command line", "opened by link"]


class NotYours(ValueError):
    """Somebody changes a run that they did not ask for; the sentence says so."""

    def __init__(self) -> None:
        super().__init__("Only who asked for a run can name, pin or delete it.")


@dataclass(frozen=True)
class Item:
    """One run as it stands on a visitor's shelf."""

    entry: Entry
    origin: Origin
    gist: Gist
    name: str = ""
    note: str = ""
    pinned: bool = False


def is_private(spec: str) -> bool:
    """Whether a run's spec (JSON) names data that belongs to one visitor."""
    return str(json.loads(spec).get("task", "")).startswith("data:")


def may_see(store: Store, run_id: str, owner: str) -> bool:
    """Whether this visitor may look at a run: any run by its id, one on a visitor's own data only who asked for it."""
    entry = store.entry(run_id)
    return entry is not None and (not is_private(entry.spec) or is_yours(store, run_id, owner))


def is_yours(store: Store, run_id: str, owner: str) -> bool:
    """Whether this owner ever asked for this run."""
    sql = "SELECT 1 FROM wanted WHERE run_id = ? AND owner = ?"
    return bool(owner) and store.connection.execute(sql, (run_id, owner)).fetchone() is not None


def items(store: Store, owner: str, opened: Sequence[str] = ()) -> list[Item]:
    """The latest attempt at each run on this visitor's shelf, the newest first: their own, those of this machine's command
    line, and those they `opened` by a link."""
    rows = store.connection.execute(
        f"""SELECT r.run_id, MAX(r.attempt), r.kind, r.spec, r.created_s, {LAST}, s.name, s.note, s.pinned,
                EXISTS (SELECT 1 FROM wanted w WHERE w.run_id = r.run_id AND w.owner = :owner),
                EXISTS (SELECT 1 FROM wanted w WHERE w.run_id = r.run_id AND w.owner LIKE :command_line)
            FROM runs r LEFT JOIN shelf s ON s.run_id = r.run_id AND s.owner = :owner
            WHERE r.kind = 'train' AND s.deleted_s IS NULL AND (
                r.run_id IN (SELECT run_id FROM wanted WHERE owner = :owner OR owner LIKE :command_line)
                OR r.run_id IN (SELECT value FROM json_each(:opened)))
            GROUP BY r.run_id ORDER BY r.created_s DESC, r.rowid DESC""",
        {"owner": owner, "command_line": COMMAND_LINE + " %", "opened": json.dumps(list(opened))},
    ).fetchall()  # fmt: skip
    seen = [row for row in rows if row[9] or not is_private(row[3])]
    entries = [Entry(Key(*row[:2]), *row[2:6]) for row in seen]
    return [
        Item(entry, _origin(*row[9:]), gist, row[6] or "", row[7] or "", bool(row[8]))
        for entry, row, gist in zip(entries, seen, gists(store, entries), strict=True)
    ]


def finished(store: Store, owner: str, limit: int = 200) -> list[Entry]:
    """The newest finished runs that this visitor may build on: their own, and those of this machine's command line."""
    rows = store.connection.execute(
        f"""SELECT r.run_id, MAX(r.attempt), r.kind, r.spec, r.created_s, {LAST} AS last FROM runs r
            WHERE r.kind = 'train' AND last = 'finished'
                AND r.run_id IN (SELECT run_id FROM wanted WHERE owner = :owner OR owner LIKE :command_line)
                AND r.run_id NOT IN (SELECT run_id FROM shelf WHERE owner = :owner AND deleted_s IS NOT NULL)
            GROUP BY r.run_id ORDER BY r.created_s DESC, r.rowid DESC LIMIT :limit""",
        {"owner": owner, "command_line": COMMAND_LINE + " %", "limit": limit},
    ).fetchall()  # fmt: skip
    found = [Entry(Key(*row[:2]), *row[2:]) for row in rows]
    return [entry for entry in found if may_see(store, entry.key.run_id, owner)]


def _origin(mine: bool, command_line: bool) -> Origin:
    return "yours" if mine else "command line" if command_line else "opened by link"


def everything(store: Store) -> list[Item]:
    """Every attempt of the store, the newest first, for this machine's command line; with a name where anybody gave one."""
    rows = store.connection.execute(
        f"""SELECT r.run_id, r.attempt, r.kind, r.spec, r.created_s, {LAST},
                (SELECT name FROM shelf s WHERE s.run_id = r.run_id AND name != '' LIMIT 1)
            FROM runs r WHERE r.kind = 'train' ORDER BY r.created_s DESC, r.rowid DESC"""
    ).fetchall()
    entries = [Entry(Key(*row[:2]), *row[2:6]) for row in rows]
    return [
        Item(entry, "command line", gist, row[6] or "")
        for entry, row, gist in zip(entries, rows, gists(store, entries), strict=True)
    ]


def flat(item: Item) -> dict[str, Any]:
    """One row of fields to filter, sort and group by; the settings of its method stand among them."""
    gist = {name: value for name, value in item.gist.items() if name != "settings"}
    settings = {name: _listed(value) for name, value in item.gist["settings"].items()}
    return gist | settings


def _listed(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list) else value


def adapter_folder(run: Key, home: Path) -> Path:
    """Where the files of an attempt are, or were."""
    return home / "adapters" / f"{run.run_id}-{run.attempt}"


def kept_by(store: Store, owner: str, run_id: str) -> tuple[str, str, bool]:
    """Name, note and pin that this owner gave a run."""
    sql = "SELECT name, note, pinned FROM shelf WHERE run_id = ? AND owner = ?"
    found = store.connection.execute(sql, (run_id, owner)).fetchone()
    return (found[0], found[1], bool(found[2])) if found else ("", "", False)


# What an owner does


def rename(store: Store, owner: str, run_id: str, name: str) -> None:
    """Raises `NotYours`, and `ValueError` for a name that is too long."""
    _set(store, owner, run_id, "name", _text(name, "A name", NAME_LIMIT, " "))


def annotate(store: Store, owner: str, run_id: str, note: str) -> None:
    """Raises `NotYours`, and `ValueError` for a note that is too long."""
    _set(store, owner, run_id, "note", _text(note, "A note", NOTE_LIMIT, "\n"))


def pin(store: Store, owner: str, run_id: str, pinned: bool) -> None:
    """Raises `NotYours`."""
    _set(store, owner, run_id, "pinned", int(pinned))


def delete(store: Store, owner: str, run_ids: Iterable[str]) -> list[str]:
    """Hide these runs from this owner, those of them that are theirs and have ended; the ones that were hidden."""
    mine = [run_id for run_id in run_ids if is_yours(store, run_id, owner)]
    ended = [run_id for run_id in mine if (entry := store.entry(run_id)) and entry.ended]
    for run_id in ended:
        _set(store, owner, run_id, "deleted_s", time.time())
    return ended


def undo_delete(store: Store, owner: str, run_ids: Iterable[str]) -> None:
    """Put deleted runs back as they were, name, note and pin with them. Raises `NotYours`."""
    for run_id in run_ids:
        _set(store, owner, run_id, "deleted_s", None)


def _text(text: str, what: str, limit: int, line_break: str) -> str:
    """What was typed, without control characters; line breaks become `line_break`."""
    clean = "".join(c if c.isprintable() else line_break if c == "\n" else "" for c in text.strip())
    if len(clean) > limit:
        raise ValueError(f"{what} has at most {limit:,} characters; this one has {len(clean):,}.")
    return clean


def _set(store: Store, owner: str, run_id: str, field: str, value: Any) -> None:
    if not is_yours(store, run_id, owner):
        raise NotYours
    store.connection.execute(
        f"INSERT INTO shelf (run_id, owner, {field}) VALUES (?, ?, ?)"
        f" ON CONFLICT (run_id, owner) DO UPDATE SET {field} = excluded.{field}", (run_id, owner, value),
    )  # fmt: skip


def sweep(store: Store, home: Path, older_s: float = KEEP_S) -> list[Key]:
    """Throw away adapters and checkpoints of runs that every owner deleted longer ago than `older_s`; their keys. Their events stay,
    and who asks for such a run again gets it trained anew."""
    rows = store.connection.execute(
        """SELECT r.run_id, r.attempt FROM runs r WHERE r.kind = 'train'
            AND NOT EXISTS (SELECT 1 FROM swept x WHERE x.run_id = r.run_id AND x.attempt = r.attempt)
            AND NOT EXISTS (SELECT 1 FROM wanted w LEFT JOIN shelf s ON s.run_id = w.run_id AND s.owner = w.owner
                WHERE w.run_id = r.run_id AND (s.deleted_s IS NULL OR s.deleted_s > ?))""",
        (time.time() - older_s,),
    ).fetchall()  # fmt: skip
    swept = []
    for key in (Key(*row) for row in rows):
        if (entry := store.entry(*key)) and entry.ended:
            store.connection.execute("INSERT OR IGNORE INTO swept VALUES (?, ?, ?)", (*key, time.time()))
            shutil.rmtree(adapter_folder(key, home), ignore_errors=True)
            if not _is_kept(store, key.run_id):
                states.drop(home, key.run_id)
            swept.append(key)
    return swept


def _is_kept(store: Store, run_id: str) -> bool:
    """Whether an attempt at this run is left that was not swept."""
    sql = """SELECT 1 FROM runs r WHERE r.run_id = ? AND NOT EXISTS
        (SELECT 1 FROM swept x WHERE x.run_id = r.run_id AND x.attempt = r.attempt)"""
    return store.connection.execute(sql, (run_id,)).fetchone() is not None


def own_rows_in_use(store: Store) -> set[str]:
    """The rows of visitors (`data:HASH`) that a run is on which somebody keeps."""
    sql = """SELECT DISTINCT json_extract(r.spec, '$.task') FROM runs r WHERE r.kind = 'train' AND NOT EXISTS
        (SELECT 1 FROM swept x WHERE x.run_id = r.run_id AND x.attempt = r.attempt)"""
    return {task for (task,) in store.connection.execute(sql) if str(task).startswith("data:")}
