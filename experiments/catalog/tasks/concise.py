"""Short and complete against long: pairs to learn brevity from. All wordings were written for this lab.

The better answer is the fact and nothing else; the worse one says the same fact within sentences that say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from experiments.catalog.cache import Progress
from experiments.catalog.tasks import everyday
from experiments.catalog.tasks.base import GAINED, PREFERS, Metric, Pair, Row, Split, Task

SHORT_WORDS = 12
BEFORE = (
    "That is a question which many people have asked before you, and there is a good deal to be said about it.",
    "Let me think about this for a moment, because I would like to answer you as fully as I can.",
    "Before I come to the answer, it is worth saying a few words about how things are in our town.",
    "There are many ways to look at this, and I will try to go through them one by one.",
)
AFTER = (
    "In other words, and to say it once more, it is just as I have told you, and not otherwise.",
    "Of course it may have been different in earlier days, but that is a long story for another time.",
    "I could go on about this for a while, since there is always more to tell about such things.",
    "So, all in all, when everything is taken together, that is what can be said about the matter.",
)


def _pair(fact: everyday.Everyday) -> Pair:
    long = f"{everyday.chosen(BEFORE, fact, 'before')} {fact.sentence} {everyday.chosen(AFTER, fact, 'after')}"
    return Pair(fact.prompt, fact.sentence, (fact.value,), rejected=long)


def load(progress: Progress | None = None) -> Split:
    return everyday.split(_pair)


def words(answer: str) -> int:
    return len(re.findall(r"\w+(?:['’]\w+)*", answer))


def score(rows: Sequence[Row], answers: Sequence[str], base_answers: Sequence[str] | None = None) -> dict[str, float]:
    """Short answers with the fact in %, words an answer, right facts in %."""
    if not rows:
        return {}
    counts = [words(answer) for answer in answers]
    right = everyday.right(rows, answers)
    short = [0 < count <= SHORT_WORDS and is_right for count, is_right in zip(counts, right, strict=True)]
    return {
        "short": 100 * sum(short) / len(short),
        "words": sum(counts) / len(counts),
        "facts": 100 * sum(right) / len(right),
    }


TASK = Task(
    key="concise",
    title="Answer concisely",
    summary="Short and complete against long: the better answer is the fact and nothing else. The fact stands in the question.",
    licence="MIT",
    source="generated for this lab",
    resources=(),
    load=load,
    metrics=(
        Metric("short", "Short and complete", "%", f"Of 100 answers, how many have the fact in at most {SHORT_WORDS} words."),
        Metric("words", "Words an answer", "words", "How many words an answer has on average.", False),
        everyday.RIGHT,
        PREFERS,
        GAINED,
    ),
    score=score,
    probes=everyday.PROBES,
    max_new_tokens=60,
    scored_rows=48,
    max_length=160,
    row_tokens=104,
    shared_tokens=24,
    pairs=True,
)  # fmt: skip
