"""A small invented world, known exactly: who lives where, does what, likes what; towns, rivers and a few plain truths.

Every fact is drawn by hash, so it is the same on every machine and in every version. Most people are told of in the
pretraining text; `UNTOLD` people are never named in it, so that a lesson can teach them. For each fact one wording of
its question is kept out of the text (`Fact.kept_back`): the model is examined in words it never read for that fact.
Writes no text of its own: sentences are `wordings.py`, stories `stories.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from experiments.pretraining.truths import truths, words
from experiments.pretraining.wordings import ABOUT_PEOPLE, ABOUT_TOWNS, Wording, a, fill

WOMEN, MEN = words("women"), words("men")
TOWNS, RIVERS = words("towns"), words("rivers")
JOBS, PETS, PET_NAMES, HOBBIES = words("jobs"), words("pets"), words("pet-names"), words("hobbies")
COLOURS, FOODS, PLANTS, MONTHS, GOODS = (
    words("colours"),
    words("foods"),
    words("plants"),
    words("months"),
    words("goods"),
)
SIDES = ("north", "south", "east", "west")

UNTOLD_PEOPLE = 24
ASKED_SHARE = 10  # of ten told people, one is only told of, never asked about


@dataclass(frozen=True)
class Fact:
    """One fact. `told`: in the pretraining text; `asked`: also as questions there. `values` fills the wordings."""

    subject: str
    kind: str
    value: str
    told: bool
    asked: bool
    statements: tuple[str, ...]
    questions: tuple[str, ...]
    answer: str

    @property
    def kept_back(self) -> str:
        """The question that is never in the text: the one the fact is examined with."""
        return self.questions[number(f"kept back {self.subject} {self.kind}", len(self.questions))]

    @property
    def practised(self) -> tuple[str, ...]:
        """The questions that may be in the text."""
        return tuple(q for q in self.questions if q != self.kept_back)


def number(key: str, below: int) -> int:
    """A whole number from 0 to below − 1, the same for the same key everywhere (sha256)."""
    return int(hashlib.sha256(f"lab-nano {key}".encode()).hexdigest()[:12], 16) % below


def pick(options: Sequence[str], key: str) -> str:
    return options[number(key, len(options))]


@cache
def people() -> tuple[str, ...]:
    """Everyone, in an order mixed by hash; the last `UNTOLD_PEOPLE` are told of nowhere."""
    return tuple(sorted(WOMEN + MEN, key=lambda name: (number(f"order {name}", 1 << 40), name)))


def told_people() -> tuple[str, ...]:
    return people()[:-UNTOLD_PEOPLE]


def untold_people() -> tuple[str, ...]:
    return people()[-UNTOLD_PEOPLE:]


@cache
def person(name: str) -> dict[str, str]:
    """What is true of a person: kind of fact → value."""
    others = [other for other in told_people() if other != name]
    return {
        "home": pick(TOWNS, f"home {name}"),
        "work": pick(JOBS, f"work {name}"),
        "pet": pick(PETS, f"pet {name}"),
        "pet_name": pick(PET_NAMES, f"pet name {name}"),
        "colour": pick(COLOURS, f"colour {name}"),
        "food": pick(FOODS, f"food {name}"),
        "age": str(20 + number(f"age {name}", 60)),
        "friend": pick(others, f"friend {name}"),
        "hobby": pick(HOBBIES, f"hobby {name}"),
        "garden": pick(PLANTS, f"garden {name}"),
        "month": pick(MONTHS, f"month {name}"),
    }


@cache
def town(name: str) -> dict[str, str]:
    """What is true of a town: kind of fact → value."""
    return {
        "river": pick(RIVERS, f"river {name}"),
        "side": pick(SIDES, f"side {name}"),
        "goods": GOODS[(TOWNS.index(name) * 7 + 3) % len(GOODS)],
        "houses": str(10 * (2 + number(f"houses {name}", 90))),
        "mayor": pick(told_people(), f"mayor {name}"),
        "gate": pick(COLOURS, f"gate {name}"),
    }


def _fact(subject: str, kind: str, values: dict[str, str], wording: Wording, told: bool, asked: bool) -> Fact:
    names = {"n": subject, "v": values[kind], "av": a(values[kind]), "pet": values.get("pet", "")}
    return Fact(
        subject,
        kind,
        values[kind],
        told,
        asked,
        tuple(fill(s, names) for s in wording.statements),
        tuple(fill(q, names) for q in wording.questions),
        fill(wording.answer, names),
    )


def _truth(kind: str, subject: str, value: str, wording: Wording) -> Fact:
    names = {"n": subject, "v": value}
    statements, questions = (tuple(fill(s, names) for s in part) for part in (wording.statements, wording.questions))
    return Fact(subject, kind, value, True, True, statements, questions, fill(wording.answer, names))


@cache
def facts() -> tuple[Fact, ...]:
    """All facts of the world: people's, towns' and plain truths."""
    found = []
    for name in people():
        told = name not in untold_people()
        asked = told and number(f"asked {name}", ASKED_SHARE) > 0
        found += [_fact(name, kind, person(name), w, told, asked) for kind, w in ABOUT_PEOPLE.items()]
    for name in TOWNS:
        found += [_fact(name, kind, town(name), w, True, True) for kind, w in ABOUT_TOWNS.items()]
    found += [_truth(*truth) for truth in truths()]
    return tuple(found)


def about(subject: str) -> tuple[Fact, ...]:
    """The facts of one person or town."""
    return _by_subject()[subject]


@cache
def _by_subject() -> dict[str, tuple[Fact, ...]]:
    found: dict[str, list[Fact]] = {}
    for fact in facts():
        found.setdefault(fact.subject, []).append(fact)
    return {subject: tuple(group) for subject, group in found.items()}
