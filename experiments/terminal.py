"""What the commands share with a terminal: progress, results, refusals. JSON goes to standard output, all else to standard error."""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from experiments import analysis, events
from experiments.catalog import tasks
from experiments.catalog.cache import ResourceError, lab_home, plain_os_errors
from experiments.jobs import Ticket
from experiments.specs import SpecError
from experiments.store import FILE, Key, Store, opened, unusable

log = logging.getLogger(__name__)
people = Console(stderr=True)
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def owner() -> str:
    return f"command line {os.getpid()}"


def open_store() -> Store:
    """The store under LAB_HOME; tracebacks go to a file beside it, never to the terminal. Raises `ResourceError`."""
    home = lab_home()
    store = opened(home)
    with plain_os_errors(home):
        logging.basicConfig(filename=home / "command-line.log", format="%(asctime)s %(name)s %(message)s")
    return store


def watch(store: Store, tickets: Sequence[Ticket]) -> None:
    """Draw a bar per run until all have ended."""
    records = {t.key: analysis.load(store, *t.key) for t in tickets}
    with progress_bar(started=False) as (bar, _):
        rows = {key: bar.add_task(record.method.title if record else "", total=None) for key, record in records.items()}
        while True:
            for key, record in records.items():
                if record:
                    analysis.fold(record, store.events(key, record.seen))
                    draw(bar, rows[key], record)
            if all(record is None or record.ended for record in records.values()):
                return
            time.sleep(0.1)


def draw(bar: Progress, row: TaskID, record: analysis.Record) -> None:
    title, steps = record.method.title, record.spec.train.steps
    if record.status == "preparing" and record.progress:
        bar.update(
            row,
            description=f"{title}: {record.progress.stage}",
            completed=record.progress.done,
            total=record.progress.total,
        )
        return
    loss = record.steps[-1].loss if record.steps else None
    state = record.status if record.status != "running" or len(record.steps) < steps else "measuring"
    text = f"{title}: {state}" + (f", loss {loss:.3f}" if loss is not None else "")
    bar.update(
        row,
        description=text,
        completed=len(record.steps),
        total=len(record.steps) or 1 if record.status == "finished" else max(steps, 1),
    )


def follow(store: Store, key: Key) -> Iterator[events.Event]:
    """The events of an attempt as they come, to its end."""
    seen = -1
    while True:
        for row in store.events(key, seen):
            seen = row.seq
            yield row.event
            if isinstance(row.event, events.END):
                return
        time.sleep(0.05)


@contextmanager
def progress_bar(started: bool = True) -> Iterator[tuple[Progress, TaskID]]:
    """A bar on standard error, with one row where `started`; nothing where that is no terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=people, transient=not people.is_terminal, disable=not people.is_terminal) as bar:
        yield bar, bar.add_task("", total=None) if started else TaskID(0)


@contextmanager
def sentences(as_json: bool) -> Iterator[None]:
    """Wrong input inside, or a store that cannot be used, is told in one sentence a field; the program ends with status 2."""
    try:
        yield
    except SpecError as error:
        refuse([(p.field, p.sentence) for p in error.problems], as_json)
    except (ValueError, ResourceError) as error:
        refuse([("", str(error))], as_json)
    except sqlite3.DatabaseError as error:  # it could be opened, and its damage lies deeper
        log.exception("the store cannot be used")
        refuse([("", unusable(lab_home() / FILE, error))], as_json)


def refuse(problems: Sequence[tuple[str, str]], as_json: bool) -> NoReturn:
    if as_json:
        print(json.dumps({"status": "invalid", "problems": [{"field": f, "sentence": s} for f, s in problems]}))
    for field, sentence in problems:
        people.print(f"{field}: {sentence}" if field else sentence, markup=False, highlight=False, soft_wrap=True)
    sys.exit(2)


def finish(records: Sequence[analysis.Record], as_json: bool, one: bool = False) -> NoReturn:
    """Print the results; exit status 0 where all finished, 1 otherwise."""
    found = [analysis.summary(r, lab_home()) for r in records]
    if as_json:
        print(json.dumps(found[0] if one else {"runs": found}))
    else:
        for record, row in zip(records, found, strict=True):
            print(f"{row['run_id']}  {record.method.title}: {row['status']}. {row['cause'] or ''}".rstrip())
            for item in row["advice"]:
                if item["when"] == "after":
                    print(f"  {item['sentence']}")
            if row["context_tokens"]:
                print(f"  {row['context_tokens']:,} tokens stand before every prompt")
            for metric in tasks.metrics(record.spec):
                base, tuned = record.metric("base", metric.key), record.metric("tuned", metric.key)
                if tuned is not None:
                    print(f"  {metric.label}: {'–' if base is None else f'{base:.1f}'} → {tuned:.1f} {metric.unit}")
    sys.exit(0 if all(r.status == "finished" for r in records) else 1)


def show(rows: list[dict[str, Any]], as_json: bool, name: str) -> None:
    if as_json:
        print(json.dumps({name: rows}))
        return
    for row in rows:
        print("  ".join(str(v) for v in row.values() if v not in (None, "")))
