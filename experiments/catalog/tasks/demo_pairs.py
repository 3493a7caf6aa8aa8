"""Prefer the answer that a person preferred: the demonstration pairs of LLaMA-Factory, fetched and not republished.

Conversations of several turns, and answers of some hundred words: these are what preference data looks like. Of the 300 those are
taken whose conversation is short enough to leave room for the answer, one of those that begin or end with the same words.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from experiments.catalog.cache import Progress, ResourceError
from experiments.catalog.own_data import measures
from experiments.catalog.resources import find, get
from experiments.catalog.tasks.base import GAINED, PREFERS, Row, Split, Task, mixed_order, normal

LONGEST_TALK = 1200  # characters before the answer
HELD_OUT = 40


def load(progress: Progress | None = None) -> Split:
    """Some 100 training and 40 held-out pairs. Raises ResourceError."""
    from experiments.catalog.own_data import columns, table  # they read rows as tasks do

    file = get(find("dpo-demo"), progress).path / "dpo_en_demo.json"
    try:
        found = table.of_records(json.loads(file.read_text("utf8")))
        named = {"prompt": "conversations", "completion": "chosen", "rejected": "rejected"}
        parts = columns.Columns.model_validate(named)
        rows, _, _ = columns.rows(found, parts, "chat")
    except (ValueError, TypeError) as error:
        raise ResourceError(f"The fetched {file.name} is damaged.") from error
    talks: dict[str, Row] = {}
    known: set[str] = set()
    for row in rows:
        ends = {normal(next((text for role, text in row.before if role == "user"), row.prompt)), normal(row.prompt)}
        if len(row.prompt) + sum(len(text) for _, text in row.before) <= LONGEST_TALK and not ends & known:
            talks[normal(row.prompt)] = row
            known |= ends
    mixed = tuple(talks[name] for name in sorted(talks, key=mixed_order))
    return Split(mixed[HELD_OUT:], mixed[:HELD_OUT])


def score(rows: Sequence[Row], answers: Sequence[str], base_answers: Sequence[str] | None = None) -> dict[str, float]:
    """ROUGE-L against the preferred answer. So open a question has many good answers: look at the pairs."""
    return {measures.ROUGE_L.key: measures.rouge_l(rows, answers)} if rows else {}


TASK = Task(
    key="demo-pairs",
    title="Prefer what people preferred",
    summary="Conversations with the answer that somebody preferred and one that they did not: long, and of every kind.",
    licence="Apache-2.0 as labelled; descends from data for non-commercial use, fetched and not republished",
    source="the demonstration preference pairs of LLaMA-Factory",
    resources=("dpo-demo",),
    load=load,
    metrics=(measures.ROUGE_L, PREFERS, GAINED),
    score=score,
    probes=(
        "How can I fall asleep more easily?",
        "Explain to a child why the sky is blue.",
        "Write a short note to thank a neighbour for watering the plants.",
    ),
    max_new_tokens=96,
    scored_rows=12,
    max_length=512,
    pairs=True,
)
