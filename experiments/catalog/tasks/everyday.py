"""Small facts of a town, each with the question it answers: what the preference tasks are made of. Generated for this lab.

The fact stands in the prompt, so that every model can know it, and a right answer can be told from a wrong one. Facts are parted
into training and held-out ones by their hash, the same way for every task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product

from experiments.catalog.tasks.base import Metric, Pair, Row, Split, mixed_order, says

SHARE_HELD_OUT = 4  # one in so many
HOURS = ("six", "seven", "eight", "nine", "ten", "noon")
PLACES = (
    "library",
    "bakery",
    "post office",
    "museum",
    "swimming pool",
    "town hall",
    "market",
    "pharmacy",
    "school",
    "mill",
)
GOODS = ("loaf of bread", "jar of honey", "ticket", "pound of apples", "map", "pot of tea", "basket", "pair of gloves")
PRICES = ("two", "three", "four", "five", "seven", "nine", "eleven")
THINGS = ("key", "ladder", "letter", "umbrella", "bicycle", "lamp", "kettle", "blanket", "hammer", "notebook")
SPOTS = (
    "behind the door",
    "under the stairs",
    "on the top shelf",
    "next to the stove",
    "in the blue box",
    "by the window",
)
PEOPLE = ("Anna", "Peter", "Maria", "Thomas", "Helen", "Samuel", "Ruth", "David")
WORK = (
    "feeds the horses",
    "waters the garden",
    "rings the bell",
    "repairs the clock",
    "carries the post",
    "sweeps the yard",
)


@dataclass(frozen=True)
class Everyday:
    """A fact as a sentence, the question it answers, and the words that make the answer right."""

    sentence: str
    question: str
    value: str

    @property
    def prompt(self) -> str:
        return f"{self.sentence} {self.question}"

    @property
    def is_held_out(self) -> bool:
        return int(mixed_order(f"everyday {self.sentence}")[:8], 16) % SHARE_HELD_OUT == 0


def _all() -> Iterator[Everyday]:
    for place, hour in product(PLACES, HOURS):
        yield Everyday(f"The {place} opens at {hour}.", f"When does the {place} open?", hour)
        yield Everyday(f"The {place} closes at {hour}.", f"Until when is the {place} open?", hour)
    for good, price in product(GOODS, PRICES):
        yield Everyday(f"One {good} costs {price} coins.", f"How much is one {good}?", price)
    for thing, spot in product(THINGS, SPOTS):
        yield Everyday(f"The {thing} is {spot}.", f"Where is the {thing}?", spot)
    for person, work in product(PEOPLE, WORK):
        yield Everyday(f"{person} {work}.", f"Who {work}?", person)


@cache
def facts() -> tuple[tuple[Everyday, ...], tuple[Everyday, ...]]:
    """Training facts and held-out ones, each in a fixed, mixed order."""
    mixed = sorted(_all(), key=lambda fact: mixed_order(f"everyday order {fact.sentence}"))
    return tuple(f for f in mixed if not f.is_held_out), tuple(f for f in mixed if f.is_held_out)


def chosen(words: tuple[str, ...], about: Everyday, why: str) -> str:
    """One of these, the same one for this fact in every run."""
    return words[int(mixed_order(f"{why} {about.sentence}")[:8], 16) % len(words)]


def split(pair: Callable[[Everyday], Pair]) -> Split:
    """All facts as pairs of a better and a worse answer."""
    train, held_out = facts()
    return Split(tuple(map(pair, train)), tuple(map(pair, held_out)))


def right(rows: Sequence[Row], answers: Sequence[str]) -> list[bool]:
    """Whether each answer has the fact of its row."""
    return [says(answer, row.facts) for row, answer in zip(rows, answers, strict=True)]


RIGHT = Metric("facts", "Right facts", "%", "Of 100 answers, how many contain the fact that stands in the question.")
PROBES = (
    "The bridge is closed on Mondays. When is the bridge closed?",
    "The doctor lives at the corner. Where does the doctor live?",
    "One cup of soup costs six coins. How much is one cup of soup?",
)
