"""The runs of the store: which there are, and one of them as a file."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from experiments import analysis, export, filters, mirrors, recorded, shelf, specs
from experiments.catalog import models
from experiments.catalog.cache import lab_home
from experiments.specs import SpecError
from experiments.store import Key, Row
from experiments.terminal import AsJson, app, open_store, sentences, show

PLAIN = ("run_id", "attempt", "status", "name", "model", "task", "method", "steps", "held_out")


@app.command()
def runs(
    chosen: Annotated[
        str, typer.Option("--filter", help="Words, and fields compared: 'lora rank>=8 status=finished'.")
    ] = "",
    as_json: AsJson = False,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 200,
) -> None:
    """The runs of this store, newest first."""
    with sentences(as_json):
        store = open_store()
        store.reap()  # a training that was killed is none that goes on
        rows = filters.chosen([_row(item) for item in shelf.everything(store)], chosen)[:limit]
    if as_json:
        show([dict(row) for row in rows], True, "runs")
    else:
        show([{name: _short(row.get(name)) for name in PLAIN} for row in rows], False, "runs")


def _row(item: shelf.Item) -> dict[str, Any]:
    key = item.entry.key
    head = {"run_id": key.run_id, "attempt": key.attempt, "created_s": item.entry.created_s, "name": item.name}
    return head | shelf.flat(item)


def _short(value: Any) -> Any:
    return f"{value:.3g}" if isinstance(value, float) else value


@app.command("export")
def export_run(
    run_id: Annotated[str, typer.Option("--run", help="A run of the store, or a recorded one.")],
    kind: Annotated[
        str, typer.Option("--as", help="csv (the curve), jsonl (the events), yaml (the spec), adapter (a zip).")
    ],
    to: Annotated[Path, typer.Option("--to", help="The file to write, or a folder to put it into.")],
    as_json: AsJson = False,
) -> None:
    """Write one run as a file: its curve, its events, its spec or its adapter."""
    with sentences(as_json):
        if kind not in export.FORMATS:
            raise SpecError([specs.Problem("as", f"“{kind[:40]}” is none of {', '.join(export.FORMATS)}.")])
        record, rows = _find(run_id)
        target = to / f"{record.run_id}.{export.FORMATS[kind]}" if to.is_dir() else to
        try:
            size = _write(record, rows, kind, target)
        except OSError as error:
            raise SpecError([specs.Problem("to", f"{target} cannot be written: {error.strerror}.")]) from None
    if as_json:
        print(json.dumps({"run_id": record.run_id, "as": kind, "path": str(target), "bytes": size}))
    else:
        print(f"{target}  {size:,} bytes")


def _find(run_id: str) -> tuple[analysis.Record, list[Row]]:
    """A run with its events, of the store or a recorded one. Raises `SpecError`."""
    store = open_store()
    if record := analysis.load(store, run_id):
        return record, store.events(Key(record.run_id, record.attempt))
    for record in (*recorded.load(), *recorded.gallery()):
        if record.run_id == run_id:
            return record, list(recorded.rows(run_id)[1])
    raise SpecError([specs.Problem("run", f"There is no run “{run_id[:40]}” in this store.")])


def _write(record: analysis.Record, rows: list[Row], kind: str, target: Path) -> int:
    """Into a file beside the target, then renamed: a full disk leaves nothing half-made."""
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=f".{target.name}", delete=False) as partial:
        try:
            _fill(record, rows, kind, partial)  # type: ignore[arg-type]
            partial.close()
            Path(partial.name).chmod(0o666 & ~_umask())
            Path(partial.name).replace(target)
        except BaseException:
            Path(partial.name).unlink(missing_ok=True)
            raise
    return target.stat().st_size


def _umask() -> int:
    os.umask(now := os.umask(0))
    return now


def _fill(record: analysis.Record, rows: list[Row], kind: str, out: BinaryIO) -> None:
    match kind:
        case "csv":
            out.write(export.curve_csv(record).encode())
        case "jsonl":
            out.writelines(line.encode() for line in export.events_jsonl(rows))
        case "yaml":
            out.write(export.spec_yaml(record.spec).encode())
        case "adapter":
            folder = shelf.adapter_folder(Key(record.run_id, record.attempt), lab_home())
            export.adapter_zip(folder, out, models.public_name(record.spec.model))


@app.command("mirror")
def mirror_run(
    run_id: Annotated[str, typer.Option("--run", help="A run of the store, or a recorded one.")],
    to: Annotated[list[str], typer.Option("--to", help="trackio, tensorboard or wandb.")],
    as_json: AsJson = False,
) -> None:
    """Send a stored run's numbers on to a tracker that is installed; its files go below LAB_HOME/mirrors."""
    with sentences(as_json):
        found = mirrors.find(to)
        record, rows = _find(run_id)
        folder = lab_home() / "mirrors"
        feed = mirrors.Feed(found, record.spec, Key(record.run_id, record.attempt), folder)
        for row in rows:
            feed.tell(row.event)
    if as_json:
        print(json.dumps({"run_id": record.run_id, "to": feed.working, "folder": str(folder)}))
    else:
        print(f"{', '.join(feed.working) or 'nowhere: see the log'}  {folder}")
