"""The lab's memory: one SQLite file in WAL mode, one row an event, append-only, many readers, one writer a run.

A run id (the hash of its spec) can have several attempts: a failed or stopped one is tried again, "run again" makes
another. The state of an attempt is its last event, never a column of its own. Who wants a run is kept beside it: it is
stopped when nobody does any more. Nothing here decides when anything runs: see `jobs`. The tables `shelf`, `gists` and
`swept` are written by `shelf` and `gists`: what owners call their runs, and numbers that could be made anew from events;
`sweeps` and `cells` by `sweeps.table`, `comparisons` by `comparison.table`, `votes` by `votes`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from experiments import events
from experiments.catalog.cache import ResourceError, make_folder

FILE = "lab.sqlite"
SCHEMA = """
CREATE TABLE IF NOT EXISTS runs (
    run_id TEXT, attempt INTEGER, kind TEXT, spec TEXT, created_s REAL, writer TEXT, PRIMARY KEY (run_id, attempt));
CREATE TABLE IF NOT EXISTS events (
    run_id TEXT, attempt INTEGER, seq INTEGER, time_s REAL, kind TEXT, body TEXT,
    PRIMARY KEY (run_id, attempt, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS wanted (
    run_id TEXT, attempt INTEGER, owner TEXT, active INTEGER, PRIMARY KEY (run_id, attempt, owner)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS facts (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS runs_by_time ON runs (kind, created_s);
CREATE INDEX IF NOT EXISTS wanted_by_owner ON wanted (owner);
CREATE TABLE IF NOT EXISTS shelf (
    run_id TEXT, owner TEXT, name TEXT NOT NULL DEFAULT '', note TEXT NOT NULL DEFAULT '',
    pinned INTEGER NOT NULL DEFAULT 0, deleted_s REAL, PRIMARY KEY (run_id, owner)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gists (
    run_id TEXT, attempt INTEGER, body TEXT, PRIMARY KEY (run_id, attempt)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS swept (
    run_id TEXT, attempt INTEGER, time_s REAL, PRIMARY KEY (run_id, attempt)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sweeps (
    sweep_id TEXT, owner TEXT, spec TEXT, state TEXT, sentence TEXT, created_s REAL, ended_s REAL, writer TEXT,
    PRIMARY KEY (sweep_id, owner)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cells (
    sweep_id TEXT, owner TEXT, number INTEGER, run_id TEXT, spec TEXT, mark TEXT,
    PRIMARY KEY (sweep_id, owner, run_id)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS comparisons (
    comparison_id TEXT, owner TEXT, spec TEXT, fits TEXT, state TEXT, sentence TEXT, created_s REAL, began_s REAL,
    ended_s REAL, writer TEXT, workers INTEGER, PRIMARY KEY (comparison_id, owner)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS votes (
    owner TEXT, asked TEXT, time_s REAL, body TEXT, PRIMARY KEY (owner, asked)) WITHOUT ROWID;
"""
END_KINDS = tuple(kind.model_fields["kind"].default for kind in events.END)


class Key(NamedTuple):
    """One attempt at a run."""

    run_id: str
    attempt: int


@dataclass(frozen=True)
class Row:
    """One event as it is stored; `time_s` is Unix time."""

    seq: int
    time_s: float
    event: events.Event


@dataclass(frozen=True)
class Entry:
    """One attempt as it is listed; `last` is the kind of its last event, its state."""

    key: Key
    kind: str
    spec: str
    created_s: float
    last: str

    @property
    def ended(self) -> bool:
        return self.last in END_KINDS


def this_process() -> str:
    """A name for this process that another one, later, cannot have: process number and its start time."""
    process = psutil.Process()
    return f"{process.pid}:{process.create_time():.2f}"


def is_alive(writer: str) -> bool:
    pid, _, born = writer.partition(":")
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(born)) < 1.0
    except (psutil.Error, ValueError):
        return False


def opened(home: Path) -> Store:
    """The store of the lab in this folder, both made where they are not there.

    Raises `ResourceError`, one sentence with what to do, where the folder cannot be used or the file is damaged.
    """
    make_folder(home)
    try:
        return Store(home / FILE)
    except sqlite3.DatabaseError as error:
        raise ResourceError(unusable(home / FILE, error)) from error


def unusable(path: Path, error: sqlite3.DatabaseError) -> str:
    """What SQLite says of a store that cannot be used, as one sentence with what to do."""
    if isinstance(error, sqlite3.OperationalError):
        return (
            f"{path} cannot be read or written ({error}): see that it may be written, that its disk has room and that "
            "nothing holds it, or set LAB_HOME to another folder."
        )
    return (
        f"{path} is damaged ({error}): move it away and the lab begins with an empty one, or set LAB_HOME to another "
        "folder."
    )


class Store:
    """Opens (and creates) the file at `path`. Safe to use from several threads and processes."""

    def __init__(self, path: Path):
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._local = threading.local()
        self._db.executescript(SCHEMA)

    @property
    def _db(self) -> sqlite3.Connection:
        if getattr(self._local, "pid", None) != os.getpid():
            db = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
            db.execute("PRAGMA journal_mode=WAL")
            db.execute(
                "PRAGMA synchronous=NORMAL"
            )  # a killed process loses nothing; a power cut may lose the last events
            self._local.db, self._local.pid = db, os.getpid()
        return self._local.db

    @property
    def connection(self) -> sqlite3.Connection:
        """This thread's connection, for `shelf`, `gists` and `votes`."""
        return self._db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            if db.in_transaction:  # a full disk has rolled back by itself
                db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    # writing

    def open(self, run_id: str, kind: str, spec: str, owner: str, again: bool = False) -> tuple[Key, str]:
        """Ask for a run: its attempt, and "new" (to be run), "shared" (under way) or "stored" (finished).

        One transaction, so that two who ask at once get one training. `again` refuses a stored one, not a shared one.
        """
        with self._transaction() as db:
            found = db.execute(
                "SELECT attempt, writer FROM runs WHERE run_id = ? ORDER BY attempt DESC LIMIT 1", (run_id,)
            ).fetchone()
            key = Key(run_id, found[0] if found else 0)
            last = self.last_kind(key) if found else None
            if found and last not in END_KINDS and not is_alive(found[1]):
                self._insert(key, events.Interrupted())
                last = "interrupted"
            if found and last not in END_KINDS:
                state = "shared"
            elif last == "finished" and not again and not self._is_swept(key):
                state = "stored"
            else:
                state, key = "new", Key(run_id, key.attempt + 1)
                row = (*key, kind, spec, time.time(), this_process())
                db.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?)", row)
                self._insert(key, events.Queued())
            db.execute("INSERT OR REPLACE INTO wanted VALUES (?, ?, ?, 1)", (*key, owner))
            db.execute("UPDATE shelf SET deleted_s = NULL WHERE run_id = ? AND owner = ?", (run_id, owner))
        return key, state

    def _is_swept(self, key: Key) -> bool:
        """Whether its adapter was thrown away after everybody had deleted it: then asking for it trains it anew."""
        return self._db.execute("SELECT 1 FROM swept WHERE run_id = ? AND attempt = ?", key).fetchone() is not None

    def append(self, key: Key, event: events.Event) -> int:
        """Add an event to an attempt; its number. What comes after an end is refused (`ValueError`)."""
        with self._transaction():
            if self.last_kind(key) in END_KINDS:
                raise ValueError(f"Run {key.run_id} has ended; nothing can be added to it.")
            return self._insert(key, event)

    def _insert(self, key: Key, event: events.Event) -> int:
        (seq,) = self._db.execute(
            "SELECT COALESCE(MAX(seq), -1) + 1 FROM events WHERE run_id = ? AND attempt = ?", key
        ).fetchone()
        body = event.model_dump_json(exclude_none=True)
        self._db.execute("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", (*key, seq, time.time(), event.kind, body))
        return seq

    def leave(self, key: Key, owner: str) -> bool:
        """An owner no longer wants this attempt; False where they never asked for it."""
        done = self._db.execute(
            "UPDATE wanted SET active = 0 WHERE run_id = ? AND attempt = ? AND owner = ?", (*key, owner)
        )
        return done.rowcount > 0

    def reap(self) -> list[Key]:
        """Mark as interrupted what a process that is gone left unfinished."""
        with self._transaction() as db:
            open_runs = db.execute(
                f"SELECT run_id, attempt, writer FROM runs r WHERE {LAST} NOT IN {END_KINDS}"
            ).fetchall()
            dead = [Key(run_id, attempt) for run_id, attempt, writer in open_runs if not is_alive(writer)]
            for key in dead:
                self._insert(key, events.Interrupted())
        return dead

    # reading

    def events(self, key: Key, after: int = -1) -> list[Row]:
        """The events with a number above `after`, in order."""
        rows = self._db.execute(
            "SELECT seq, time_s, body FROM events WHERE run_id = ? AND attempt = ? AND seq > ? ORDER BY seq",
            (*key, after),
        )
        return [Row(seq, time_s, events.parse(body)) for seq, time_s, body in rows]

    def length(self, run_id: str) -> int:
        """How many events there are of all attempts at a run."""
        return int(self._db.execute("SELECT COUNT(*) FROM events WHERE run_id = ?", (run_id,)).fetchone()[0])

    def last_kind(self, key: Key) -> str | None:
        found = self._db.execute(
            "SELECT kind FROM events WHERE run_id = ? AND attempt = ? ORDER BY seq DESC LIMIT 1", key
        ).fetchone()
        return found[0] if found else None

    def entry(self, run_id: str, attempt: int | None = None) -> Entry | None:
        """The latest attempt at a run, or the one asked for."""
        where, values = ("AND attempt = ?", (run_id, attempt)) if attempt is not None else ("", (run_id,))
        found = self._db.execute(
            f"SELECT run_id, attempt, kind, spec, created_s, {LAST} FROM runs r WHERE run_id = ? {where}"
            " ORDER BY attempt DESC LIMIT 1", values,
        ).fetchone()  # fmt: skip
        return Entry(Key(*found[:2]), *found[2:]) if found else None

    def entries(self, kind: str = "train", owner: str | None = None, limit: int = 1000) -> list[Entry]:
        """The newest attempts first; with `owner`, only theirs."""
        where = (
            "AND EXISTS (SELECT 1 FROM wanted w WHERE w.run_id = r.run_id AND w.attempt = r.attempt AND w.owner = ?)"
        )
        rows = self._db.execute(
            f"SELECT run_id, attempt, kind, spec, created_s, {LAST} FROM runs r WHERE kind = ? {where if owner else ''}"
            " ORDER BY created_s DESC, rowid DESC LIMIT ?", (kind, *([owner] if owner else []), limit),
        )  # fmt: skip
        return [Entry(Key(*row[:2]), *row[2:]) for row in rows]

    def is_wanted(self, key: Key) -> bool:
        """Whether anybody still wants this attempt: what a training asks before each step."""
        return bool(self._db.execute(
            "SELECT EXISTS (SELECT 1 FROM wanted WHERE run_id = ? AND attempt = ? AND active)", key
        ).fetchone()[0])  # fmt: skip

    def asked(self, key: Key, owner: str) -> bool:
        """Whether this owner ever asked for this attempt, also where they have left it since."""
        found = self._db.execute(
            "SELECT 1 FROM wanted WHERE run_id = ? AND attempt = ? AND owner = ?", (*key, owner)
        ).fetchone()
        return found is not None

    def owners(self, key: Key) -> tuple[str, ...]:
        rows = self._db.execute("SELECT owner FROM wanted WHERE run_id = ? AND attempt = ? AND active", key)
        return tuple(owner for (owner,) in rows)

    # facts about this machine, such as a measured speed

    def remember(self, key: str, value: Any) -> None:
        self._db.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (key, json.dumps(value)))

    def recall(self, key: str) -> Any:
        """The value kept under this key, or None."""
        found = self._db.execute("SELECT value FROM facts WHERE key = ?", (key,)).fetchone()
        return json.loads(found[0]) if found else None


LAST = "(SELECT e.kind FROM events e WHERE e.run_id = r.run_id AND e.attempt = r.attempt ORDER BY seq DESC LIMIT 1)"
