"""Prefer plain English: a King James verse, of two newer versions of it the one in Basic English is the better answer.

The preference is constructed, nobody was asked: both versions are true to the verse, and “better” only says which vocabulary is meant. The
verses and their split are those of `plain_english`; the worse answer is the World English Bible's.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from experiments.catalog.cache import Progress, cache_folder, make_once
from experiments.catalog.resources import find, get
from experiments.catalog.tasks import plain_english
from experiments.catalog.tasks.base import GAINED, PREFERS, Pair, Row, Split, Task, normal

BUILT = f"plain-pairs-v1-{plain_english.BUILT}"  # raise the number whenever the rules below change


def load(progress: Progress | None = None) -> Split:
    """Some 2,900 training and 200 held-out pairs, from the lab's cache or built from the texts (some seconds, once)."""
    file = make_once(
        cache_folder() / "tasks" / f"{BUILT}.jsonl", lambda partial: _build(partial, progress), progress=progress
    )
    parts: dict[str, list[Row]] = {"train": [], "held_out": []}
    for line in file.read_text(encoding="utf8").splitlines():
        row = json.loads(line)
        parts[row["split"]].append(Pair(row["prompt"], row["completion"], rejected=row["rejected"]))
    return Split(tuple(parts["train"]), tuple(parts["held_out"]))


def _build(partial: Path, progress: Progress | None) -> None:
    verses = plain_english.rows(progress)
    other = plain_english.verses(next(get(find("bible-web"), progress).path.glob("*.txt")))
    with partial.open("w", encoding="utf8") as file:
        for row in verses:
            rejected = _plain_marks(plain_english.typed(other.get(row["id"], "")))
            fits = plain_english.SHORTEST <= len(rejected) <= 2 * plain_english.LONGEST and not re.search(
                r"[\d\[\]]", rejected
            )
            if fits and normal(rejected) != normal(row["completion"]):
                file.write(json.dumps({**row, "rejected": rejected}, ensure_ascii=False) + "\n")


def _plain_marks(text: str) -> str:
    """Without the quotation marks that this translation alone prints: they would tell the versions apart; “don`t” as one types it."""
    return text.replace("`", "'").replace('"', "").strip()


def score(rows: Sequence[Row], answers: Sequence[str], base_answers: Sequence[str] | None = None) -> dict[str, float]:
    """chrF and BLEU against the Basic English, as of `plain_english`."""
    return plain_english.score(rows, answers)


TASK = Task(
    key="plain-pairs",
    title="Prefer plain English (constructed)",
    summary="A King James verse in two newer versions: Basic English is called the better one. Constructed: nobody was asked.",
    licence="public domain (US)",
    source="King James Version, Bible in Basic English (Hooke, 1949), World English Bible",
    resources=plain_english.TASK.resources,
    load=load,
    metrics=(*plain_english.TASK.metrics, PREFERS, GAINED),
    score=score,
    probes=plain_english.TASK.probes,
    max_new_tokens=plain_english.TASK.max_new_tokens,
    scored_rows=plain_english.TASK.scored_rows,
    max_length=192,
    row_tokens=129,
    shared_tokens=31,
    baselines=plain_english.echo,
    pairs=True,
)
