"""Text to tokens: what each tokenizer makes of the same text."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from experiments import terminal
from experiments.catalog import tokenizers
from experiments.terminal import AsJson, app, progress_bar, sentences
from experiments.tokenization.base import Tokenizer
from experiments.tokenization.report import report, table


@app.command("tokenizers")
def list_tokenizers(as_json: AsJson = False) -> None:
    """The tokenizers to choose from; any hub id with a tokenizer.json works, too."""
    rows = [
        {
            "key": e.key, "title": e.title, "family": e.family, "vocabulary": e.vocabulary, "licence": e.licence,
            "ready": tokenizers.is_here(e), "summary": e.summary,
        }
        for e in tokenizers.available()
    ]  # fmt: skip
    terminal.show(rows, as_json, "tokenizers")


@app.command()
def tokenize(
    text: Annotated[str, typer.Argument(help="The text; - reads standard input.")],
    keys: Annotated[list[str] | None, typer.Option("--tokenizer", help="Which; may be given several times.")] = None,
    file: Annotated[Path | None, typer.Option(help="A tokenizer.json of your own.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tokenize a text with one or several tokenizers: ids without added special tokens, tokens, offsets, round trip."""
    if text == "-":
        text = sys.stdin.buffer.read().decode("utf8", "replace")
    made: dict[str, dict[str, Any]] = {}
    with sentences(as_json), progress_bar() as (bar, row):
        loaded = tokenizers.Loaded()
        own = {file.name: _own(file)} if file else {}

        def tell(stage: str, done: int, total: int | None) -> None:
            bar.update(row, description=stage, completed=done, total=total)

        for key in [*(keys or ([] if own else ["smollm2"])), *own]:
            tokenizer = own.get(key) or loaded.get(key, tell)
            found = report(tokenizer, text)
            made[key] = {
                **table(tokenizer, found), "round_trip": found.round_trip, "lost": found.lost or None,
                "count": found.count, **found.measures(),
            }  # fmt: skip
    if as_json:
        print(json.dumps({"text": text, "tokenizers": made}))
        return
    for key, one in made.items():
        print(f"{key}: {one['count']} tokens. {one['lost'] or 'The text comes back exactly.'}")
        print("  " + " ".join(f"{token!r}:{i}" for token, i in zip(one["tokens"], one["ids"], strict=True)))


def _own(file: Path) -> Tokenizer:
    if not file.is_file():
        raise ValueError(f"There is no file {file}.")
    return tokenizers.from_file(file)
