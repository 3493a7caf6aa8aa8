"""The words of the invented world and the plain truths that hold outside it, too: opposites, sounds and young of animals,
colours, sums, days. The words stand in `assets/world.txt`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from experiments.pretraining.wordings import Wording

WORDS = Path(__file__).parents[2] / "assets" / "world.txt"
ARTICLES = ("a", "an", "the")


@cache
def _lists() -> dict[str, str]:
    lines = [line.partition(": ") for line in WORDS.read_text(encoding="utf8").splitlines()]
    return {name: text for name, colon, text in lines if colon and not name.startswith("#")}


def words(name: str) -> tuple[str, ...]:
    """The list of this name."""
    return tuple(_lists()[name].split())


WORDINGS = {
    "opposite": Wording(
        ("The opposite of {n} is {v}.", "If a thing is not {n}, it may be {v}."),
        ("What is the opposite of {n}?", "Tell me the opposite of {n}.", "Which word is the opposite of {n}?"),
        "The opposite of {n} is {v}.",
    ),
    "sound": Wording(
        ("A {n} can {v}.", "To {v} is the way of a {n}."),
        ("What sound does a {n} make?", "What noise can a {n} make?", "Tell me the sound of a {n}."),
        "A {n} can {v}.",
    ),
    "young": Wording(
        ("A young {n} is called a {v}.", "A {v} is the child of a {n}."),
        ("What is a young {n} called?", "What is the child of a {n}?", "Tell me the name of a young {n}."),
        "A young {n} is called a {v}.",
    ),
    "seen": Wording(
        ("The colour of {n} is {v}.", "All can see that {n} is {v}."),
        ("What colour is {n}?", "What is the colour of {n}?", "Tell me the colour of {n}."),
        "The colour of {n} is {v}.",
    ),
    "legs": Wording(
        ("A {n} has {v} legs.", "The number of legs of a {n} is {v}."),
        ("How many legs does a {n} have?", "How many legs has a {n}?", "Tell me how many legs a {n} has."),
        "A {n} has {v} legs.",
    ),
    "made": Wording(
        ("People make {n} from {v}.", "{n} is made from {v}."),
        ("What is {n} made from?", "From what do people make {n}?", "Tell me what {n} is made from."),
        "People make {n} from {v}.",
    ),
    "place": Wording(
        ("The home of {n} is {v}.", "One can find {n} in {v}."),
        ("Where do {n} live?", "Where can one find {n}?", "Tell me where {n} live."),
        "The home of {n} is {v}.",
    ),
    "sum": Wording(
        ("{n} make {v}.", "{n} are {v} in all."),
        ("How much are {n}?", "What do {n} make?", "Tell me how much {n} are."),
        "{n} make {v}.",
    ),
    "after": Wording(
        ("After {n} comes {v}.", "{v} follows {n}."),
        ("What comes after {n}?", "What follows {n}?", "Tell me what comes after {n}."),
        "After {n} comes {v}.",
    ),
}


def truths() -> Iterator[tuple[str, str, str, Wording]]:
    """(kind, subject, value, wording) of every plain truth."""
    numbers = words("numbers")
    for kind, wording in WORDINGS.items():
        for pair in _lists()[kind].split(", ") if kind in _lists() else ():
            parts = pair.split(" ")
            at = 2 if parts[0] in ARTICLES else 1
            yield kind, " ".join(parts[:at]), " ".join(parts[at:]), wording
    for i in range(1, 10):
        for j in range(1, 10):
            yield "sum", f"{numbers[i]} and {numbers[j]}", numbers[i + j], WORDINGS["sum"]
    for names in (words("days"), words("months")):
        for name, following in zip(names, names[1:] + names[:1], strict=True):
            yield "after", name, following, WORDINGS["after"]
