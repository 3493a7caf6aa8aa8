"""Rules that pay an answer, in display order: chosen, never typed. A new one is one function and one line here.

A rule sees the prompt, the answer and the facts that the task names, and gives a number, most often between 0 and 1. Each can be
cheated in some way, which is said: what is paid is what is learnt, not what was meant.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from experiments.catalog.tasks import concise, polite
from experiments.catalog.tasks.base import says


@dataclass(frozen=True)
class Asked:
    """What is to be paid: the answer, its prompt, the facts one of which a right answer contains; and what the run's settings
    name, `words` as a limit and `word` as the one to say."""

    prompt: str
    answer: str
    facts: Sequence[str] = ()
    words: int = 12
    word: str = ""


@dataclass(frozen=True)
class Rule:
    """One way of paying. `cheat`: how a model can be paid without doing what was meant."""

    key: str
    title: str
    help: str
    cheat: str
    pay: Callable[[Asked], float]


def short(asked: Asked) -> float:
    """1 up to the limit, then the limit against the length."""
    return min(1.0, asked.words / max(concise.words(asked.answer), 1))


def is_json(asked: Asked) -> float:
    try:
        return float(isinstance(json.loads(asked.answer), dict | list))
    except (ValueError, RecursionError):
        return 0.0


def question(asked: Asked) -> float:
    return float(asked.answer.rstrip(" \n\"'”’").endswith("?"))


def says_word(asked: Asked) -> float:
    return float(bool(asked.word.strip()) and says(asked.answer, (asked.word,)))


def kind(asked: Asked) -> float:
    return {"kind": 1.0, "plain": 0.0, "rude": -1.0}[polite.tone(asked.answer)]


def right(asked: Asked) -> float:
    """Where the task names no facts, words of the prompt that come back."""
    if asked.facts:
        return float(says(asked.answer, asked.facts))
    wanted, said = (set(re.findall(r"\w{4,}", text.lower())) for text in (asked.prompt, asked.answer))
    return len(wanted & said) / max(len(wanted), 1)


RULES: tuple[Rule, ...] = (
    Rule("short", "Shorter than so many words", "1 up to the limit, less for every word above it.", "Say nothing at all.", short),
    Rule("question", "Ends with a question", "1 for a question mark at the end, else 0.", "Ask back whatever was asked.", question),
    Rule("word", "Contains the asked word", "1 where the word is said, else 0.", "Say only that word.", says_word),
    Rule("polite", "Polite, by a list of words", "1 for a kind turn of speech, −1 for a rude one.", "Be kind and say nothing else.", kind),
    Rule("json", "Valid JSON", "1 for a JSON object or list, else 0.", "Answer {}.", is_json),
    Rule("fact", "Says the right fact", "1 where the fact that the task names is said, else 0.", "Say every fact.", right),
)  # fmt: skip


def find(key: str) -> Rule:
    """The rule with this key. Raises `ValueError` with one sentence that names those there are."""
    for rule in RULES:
        if rule.key == key:
            return rule
    near = get_close_matches(key, [r.key for r in RULES], n=1)
    hint = f" Did you mean “{near[0]}”?" if near else ""
    raise ValueError(f"There is no reward “{key[:40]}”; there are {', '.join(r.key for r in RULES)}.{hint}")
