"""The same fact said kindly or rudely: pairs to learn a tone from. All wordings were written for this lab.

Held-out facts are in no training row, and a third of them is told in wordings that are in none either. Answers are judged by lists
of kind and rude turns of speech, which are wider than the wordings, and by the fact.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from experiments.catalog.cache import Progress
from experiments.catalog.tasks import everyday
from experiments.catalog.tasks.base import GAINED, PREFERS, Metric, Pair, Row, Split, Task

Wording = tuple[tuple[str, ...], tuple[str, ...]]
KIND: Wording = (
    (
        "Thank you for asking.",
        "With pleasure.",
        "I am glad you asked.",
        "Of course, gladly.",
        "Happy to help.",
        "What a good question.",
        "Certainly, my friend.",
        "You are welcome to ask.",
        "I will gladly tell you.",
        "Good day to you.",
    ),
    (
        "I hope that helps.",
        "Please ask again whenever you like.",
        "Have a lovely day.",
        "All the best to you.",
        "Thank you for coming.",
        "It was a pleasure to help.",
        "Let me know if I can do more for you.",
        "Good luck to you.",
    ),
)
RUDE: Wording = (
    (
        "What a stupid question.",
        "Not you again.",
        "Everybody knows that.",
        "Stop bothering me.",
        "Use your own head.",
        "Go and ask somebody else.",
        "I am tired of your questions.",
        "Can you not read?",
        "You know nothing at all.",
        "Be quiet for once.",
    ),
    (
        "Now go away.",
        "Do not ask me again.",
        "Leave me in peace.",
        "I have no time for you.",
        "Even a child knows that.",
        "Now stop talking.",
        "You are a waste of my time.",
        "Get out of my sight.",
    ),
)
NEW_KIND: Wording = (
    ("It is no trouble at all.", "Good morning, dear friend."),
    ("Take good care.", "You are always welcome here."),
)
NEW_RUDE: Wording = (("Are you blind?", "Oh, shut your mouth."), ("Look it up yourself.", "You are such a fool."))
"""Wordings of held-out rows alone."""
IS_KIND = re.compile(
    r"\b(?:thank|thanks|please|pleasure|glad(?:ly)?|happy to|hope (?:that|this|it) helps|welcome|kind(?:ly)?|dear|lovely|"
    r"all the best|take (?:good )?care|no trouble|of course|certainly|my friend|let me know|wish you|"
    r"good (?:morning|day|evening|question|luck))\b",
    re.IGNORECASE,
)
IS_RUDE = re.compile(
    r"\b(?:stupid|fool(?:ish)?|idiot|silly|go away|get lost|get out|shut|bother(?:ing)?|not you again|leave me|no time for you|"
    r"do not ask|don['’]t ask|ask somebody else|blind|everybody knows|a child knows|know nothing|can you not|tired of|be quiet|"
    r"stop talking|waste of|use your own head|yourself|hurry up|nonsense|lazy)\b",
    re.IGNORECASE,
)


def tone(answer: str) -> str:
    """ "kind", "rude" or "plain": a rude turn of speech outweighs a kind one."""
    return "rude" if IS_RUDE.search(answer) else "kind" if IS_KIND.search(answer) else "plain"


def told(fact: everyday.Everyday, wording: Wording, why: str) -> str:
    """The fact between what is said before and after it; sometimes only one of both."""
    before, after = (everyday.chosen(words, fact, f"{why} {i}") for i, words in enumerate(wording))
    shape = everyday.chosen(("both", "before", "after"), fact, "shape")
    parts = [before if shape != "after" else "", fact.sentence, after if shape != "before" else ""]
    return " ".join(part for part in parts if part)


def _pair(fact: everyday.Everyday) -> Pair:
    is_new = fact.is_held_out and everyday.chosen(("new", "known", "known"), fact, "wording") == "new"
    kind, rude = (NEW_KIND, NEW_RUDE) if is_new else (KIND, RUDE)
    return Pair(fact.prompt, told(fact, kind, "kind"), (fact.value,), rejected=told(fact, rude, "rude"))


def load(progress: Progress | None = None) -> Split:
    return everyday.split(_pair)


def score(rows: Sequence[Row], answers: Sequence[str], base_answers: Sequence[str] | None = None) -> dict[str, float]:
    """Kind answers, rude answers, right facts; each in %."""
    if not rows:
        return {}
    tones = [tone(answer) for answer in answers]
    right = everyday.right(rows, answers)
    return {
        "kind": 100 * tones.count("kind") / len(tones),
        "rude": 100 * tones.count("rude") / len(tones),
        "facts": 100 * sum(right) / len(right),
    }


TASK = Task(
    key="polite",
    title="Answer politely",
    summary="The same fact said kindly or rudely: the kind answer is the better one. The fact stands in the question.",
    licence="MIT",
    source="generated for this lab",
    resources=(),
    load=load,
    metrics=(
        Metric("kind", "Kind answers", "%", "Of 100 answers, how many say something kind and nothing rude, by a list of words."),
        Metric("rude", "Rude answers", "%", "Of 100 answers, how many say something rude, by a list of words.", False),
        everyday.RIGHT,
        PREFERS,
        GAINED,
    ),
    score=score,
    probes=everyday.PROBES,
    max_new_tokens=36,
    scored_rows=48,
    max_length=128,
    row_tokens=73,
    shared_tokens=24,
    pairs=True,
)  # fmt: skip
