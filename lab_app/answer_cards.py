"""Answers as cards, one a prompt with a column a model, as assets/answers.js draws them, and as a file. Pure functions."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

from experiments import export
from experiments.analysis import Record
from experiments.questions import SampleSpec
from experiments.store import Key
from lab_app import live, tables
from lab_app.charts import names


def cards(written: live.Written, records: Sequence[Record], key: Key) -> list[dict[str, Any]]:
    """A card for each prompt, with a column for the base and each run."""
    titles = names(records) if not written.spec.at else [
        f"{record.method.title}, {'end' if at is None else f'step {at}'}" for record, at in zip(records, written.spec.at, strict=True)
    ]  # fmt: skip
    heads = [("base", "base"), *zip(titles, [r.spec.method for r in records], strict=True)]
    return [
        {
            "id": f"{key.run_id}.{key.attempt}.{at}", "prompt": prompt, "note": sampled(written.spec),
            "columns": [
                tables.answer(name, method, said.text, pace(said), row[0].text if i else None)
                for i, ((name, method), said) in enumerate(zip(heads, row, strict=True))
            ],
        }
        for at, (prompt, row) in enumerate(zip(written.spec.prompts, written.rows, strict=True))
    ]  # fmt: skip


def sampled(spec: SampleSpec) -> str:
    """Temperature 0.8, seed 3; nothing where the likeliest token is always taken."""
    return f"Temperature {spec.temperature:g}, seed {spec.seed}." if spec.temperature else ""


def pace(said: live.Said) -> str:
    """24 tokens, 1.2 s, 20 tokens/s."""
    if not said.tokens:
        return ""
    rate = f", {said.tokens / said.seconds:.0f} tokens/s" if said.seconds else ""
    return f"{said.tokens} tokens, {said.seconds:.1f} s{rate}"


def toggled(shown: Sequence[Any], card_id: Any) -> tuple[Any, Any]:
    """Keep a card, or let it go: kept ones stay when something else is asked."""
    found = [{**card, "kept": not card.get("kept")} if card["id"] == card_id else card for card in shown]
    return {"cards": found, "tools": True}, found


def along(record: Record) -> list[dict[str, Any]]:
    made = []
    prompts = dict.fromkeys(answer.prompt for sample in record.samples for answer in sample.answers)
    for at, prompt in enumerate(prompts):
        said = [(s.subject, s.step, a.answer) for s in record.samples for a in s.answers if a.prompt == prompt]
        base = next((text for subject, _, text in said if subject == "base"), "")
        columns = [
            tables.answer("base" if subject == "base" else f"{record.method.title}, step {step}",
                          "base" if subject == "base" else record.spec.method, text, "", None if subject == "base" else base)
            for subject, step, text in said
        ]  # fmt: skip
        made.append(
            {
                "id": f"{record.run_id}.{record.attempt}.{at}",
                "prompt": prompt,
                "note": "",
                "columns": columns,
                "told": True,
            }
        )
    return made


def comparison(shown: Sequence[Any], kind: str) -> dict[str, Any]:
    """What is on the screen as one file, CSV or Markdown; a column for each model that answered any of it."""
    heads = list(dict.fromkeys(column["name"] for card in shown for column in card["columns"]))
    rows = []
    for card in shown:
        said = {column["name"]: column["text"] for column in card["columns"]}
        rows.append((card["prompt"], [said.get(name, "") for name in heads]))
    text = export.answers_csv(heads, rows) if kind == "csv" else export.answers_markdown(heads, rows)
    name = f"answers.{'csv' if kind == 'csv' else 'md'}"
    return {"stamp": secrets.token_hex(8), "name": name, "text": text, "mime": "text/plain"}
