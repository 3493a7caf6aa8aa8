"""A file or a hub data set of one's own: looked at before training, and trained on (`run --data`)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from experiments import specs, templates
from experiments.catalog import codec, models
from experiments.catalog.cache import lab_home, make_folder
from experiments.catalog.own_data import child, keep, reading
from experiments.catalog.own_data import columns as choice
from experiments.catalog.own_data import preview as previews
from experiments.catalog.own_data.columns import Columns
from experiments.catalog.own_data.table import Table, Unreadable
from experiments.catalog.own_data.task import find
from experiments.specs import Problem, SpecError
from experiments.terminal import AsJson, app, people, sentences

Data = Annotated[
    str,
    typer.Option(
        "--data", help="Rows of your own: a file (CSV, TSV, JSON, JSONL, Parquet, text), - or a hub data set."
    ),
]
Mapping = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help=f"PART=COLUMN; parts are {', '.join(choice.PARTS)}, and max_length=TOKENS. Pairs have chosen and rejected, answers with a "
        "thumb completion and label.",
    ),
]
Template = Annotated[
    str,
    typer.Option(
        "--template", help="chat, alpaca, plain, or a text of your own with {prompt}, {completion} and {end}."
    ),
]


@dataclass(frozen=True)
class Own:
    """Rows with what is to be made of them."""

    table: Table
    columns: Columns
    template: str


@app.command()
def preview(
    data: Data,
    mapping: Mapping = None,
    template: Template = "",
    model: str = models.MODELS[0].key,
    examples: Annotated[int, typer.Option(min=1, max=200, help="Rows to show.")] = previews.SHOWN,
    first: Annotated[int, typer.Option(min=0, help="The first row to show.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Show what a run on your own rows would learn: every token, and whether it counts in the loss."""
    with sentences(as_json):
        rows = bring(data, mapping or [], template)
        with _at("data"):
            find(rows.table, rows.columns, rows.template)  # before a model is fetched for nothing
            seen = previews.preview(rows.table, rows.columns, rows.template, _codec(model), first, examples)
    if as_json:
        print(json.dumps({**seen.as_json(), "template": rows.template}))
        return
    print(f"{seen.rows:,} rows; {seen.train:,} to train on, {seen.held_out:,} held out. " + _mapped(seen.mapping))
    for example in seen.examples:
        for title, side in _titled(example):
            text = "".join(f"[{t}]" if learnt else t for t, learnt in zip(side.tokens, side.in_loss, strict=True))
            print(f"{title}{text}")
    for warning in seen.warnings:
        people.print(f"• {warning}", markup=False, highlight=False, soft_wrap=True)


def bring(data: str, mapping: Sequence[str], template: str) -> Own:
    """Read the rows, guess their columns and correct the guess. Raises `SpecError`, one sentence a field."""
    with _at("data"):
        table = _table(data)
    given = _mapping(mapping)
    try:
        columns = specs.build(Columns, {**_guessed(table, given), **given})
        problems = [Problem("map", sentence) for _, sentence in choice.problems(table, columns)]
    except SpecError as error:
        problems = [Problem("map", problem.sentence) for problem in error.problems]
    usual = templates.CHAT if problems or columns.prompt or _talks(table, columns) else templates.PLAIN
    try:
        template = templates.check(template or usual)
    except ValueError as error:
        problems.append(Problem("template", str(error)))
    if problems:
        raise SpecError(problems)
    return Own(table, columns, template)


def _guessed(table: Table, given: dict[str, str]) -> dict[str, str]:
    """What is guessed of the parts that were not given, from the columns that were not."""
    found = {part: name for part, name in choice.guess(table).items() if name not in given.values()}
    judged = {"rejected", "label"} & given.keys()
    return {part: name for part, name in found.items() if not (judged and part in ("rejected", "label"))}


def kept(rows: Own) -> dict[str, Any]:
    """What a spec says of these rows, once they are kept. Raises `SpecError`, or `ResourceError` for an unusable LAB_HOME."""
    make_folder(lab_home())
    with _at("data"):
        find(rows.table, rows.columns, rows.template)  # enough rows?
        key = keep.save(rows.table, keep.OPERATOR)
    return {"task": key, "data": rows.columns.model_dump(), "template": rows.template}


def _table(data: str) -> Table:
    if data == "-":
        return reading.read(sys.stdin.buffer.read(reading.MAX_FILE_BYTES + 1))
    path = Path(data).expanduser()
    is_id = not path.exists() and not path.suffix and not data.startswith((".", "/", "~"))
    return child.hub(data, as_visitor=False) if is_id else reading.read_file(path)


def _talks(table: Table, columns: Columns) -> bool:
    return any(isinstance(cell, tuple) for cell in table.column(columns.completion)[:50])


def _mapping(texts: Sequence[str]) -> dict[str, str]:
    """Part → column, as they were given. Raises `SpecError`."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, column = text.partition("=")
        part = choice.ALSO.get(name, name)
        if not equals or part not in Columns.model_fields:
            parts = ", ".join([*Columns.model_fields, *choice.ALSO])
            raise SpecError([Problem("map", f"“{text[:60]}” is not PART=COLUMN; parts are {parts}.")])
        if part in found:
            raise SpecError(
                [Problem("map", f"“{name}” is mapped twice, to “{found[part][:60]}” and to “{column[:60]}”.")]
            )
        found[part] = column
    return found


def _codec(model: str) -> tuple[templates.Codec, Any]:
    """The model's tokenizer; the model is brought where it is not here. Raises `ValueError` or `ResourceError`."""
    entry = models.find(model, local=True)
    weights = models.weights_of(entry)
    folder = models.folder(entry, weights)
    if folder is None:
        from experiments.engine.models import prepare  # converting needs torch

        folder = prepare(entry, weights)
    return codec.load(folder)


def _titled(example: previews.Shown) -> Iterator[tuple[str, previews.Shown]]:
    """What is shown of a row: its answer, or both of a pair, under a title where it was judged."""
    if example.worse:
        yield "better: ", example
        yield "worse: ", example.worse
    else:
        yield {None: "", True: "thumb up: ", False: "thumb down: "}[example.is_good], example


def _mapped(mapping: dict[str, str]) -> str:
    return ", ".join(f"{part} = “{column}”" for part, column in mapping.items())


@contextmanager
def _at(field: str) -> Iterator[None]:
    """What is refused inside is told at this field."""
    try:
        yield
    except Unreadable as error:
        raise SpecError([Problem(field, str(error))]) from None
