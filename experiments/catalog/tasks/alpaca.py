"""Follow an instruction: the demonstration rows of Alpaca with short answers.

The split is by a hash of the question, after doubles are dropped. The rows are fetched and not republished; they descend
from Alpaca, whose licence is for non-commercial use.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from experiments.catalog.cache import Progress, ResourceError
from experiments.catalog.own_data import measures
from experiments.catalog.resources import find, get
from experiments.catalog.tasks.base import Row, Split, Task, mixed_order, normal

LONGEST_ANSWER, LONGEST_PROMPT = 300, 400  # characters
HELD_OUT = 48


def load(progress: Progress | None = None) -> Split:
    """Some 350 training and 48 held-out rows. Raises ResourceError."""
    file = get(find("alpaca-demo"), progress).path / "alpaca_en_demo.json"
    try:
        found = json.loads(file.read_text("utf8"))
    except ValueError as error:
        raise ResourceError(f"The fetched {file.name} is damaged.") from error
    rows: dict[str, Row] = {}
    for item in found:
        prompt = "\n\n".join(filter(None, (item["instruction"].strip(), item["input"].strip())))
        answer = item["output"].strip()
        if answer and len(answer) <= LONGEST_ANSWER and len(prompt) <= LONGEST_PROMPT:
            rows.setdefault(normal(prompt), Row(prompt, answer))
    mixed = tuple(rows[key] for key in sorted(rows, key=mixed_order))
    return Split(mixed[HELD_OUT:], mixed[:HELD_OUT])


def score(rows: Sequence[Row], answers: Sequence[str], base_answers: Sequence[str] | None = None) -> dict[str, float]:
    """ROUGE-L against the one answer that was written. Many other answers would be as good: look at held-out loss, too."""
    return {measures.ROUGE_L.key: measures.rouge_l(rows, answers)} if rows else {}


TASK = Task(
    key="alpaca",
    title="Follow instructions",
    summary="Answers instructions of every kind in a sentence or two, as the Alpaca rows do.",
    licence="Apache-2.0 as labelled; descends from Alpaca (CC BY-NC 4.0), fetched and not republished",
    source="Taori et al. 2023, Stanford Alpaca; the demonstration rows of LLaMA-Factory",
    resources=("alpaca-demo",),
    load=load,
    metrics=(measures.ROUGE_L,),
    score=score,
    probes=(
        "Give three tips for a good night's sleep.",
        "Explain in one sentence what a compass is for.",
        "Rewrite this sentence in the past tense: She walks to the market and buys bread.",
    ),
    max_new_tokens=80,
    scored_rows=24,
    max_length=256,
    row_tokens=188,
    shared_tokens=24,
)
