"""Turn a sentence into a JSON record: who ordered what, how much of it, for when and at what price. Written for this lab.

Rows are made of sentences and words that stand here, the same on every machine. A fact that a sentence leaves out is null.
Names, goods and four ways of saying it are only in the held-out rows, so a good score is not learnt by heart.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from typing import Any

from experiments.catalog.cache import Progress
from experiments.catalog.tasks.base import Metric, Row, Split, Task

FIELDS = ("customer", "item", "quantity", "price", "day")
PROMPT = "Write this order as JSON with the fields customer, item, quantity, price and day.\n\n{sentence}"
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NUMBERS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
# (one, several): what is ordered
GOODS = (
    ("apple pie", "apple pies"), ("desk lamp", "desk lamps"), ("notebook", "notebooks"), ("garden chair", "garden chairs"),
    ("coffee mug", "coffee mugs"), ("bicycle bell", "bicycle bells"), ("wool scarf", "wool scarves"),
    ("phone case", "phone cases"), ("birthday card", "birthday cards"), ("bag of rice", "bags of rice"),
    ("bottle of olive oil", "bottles of olive oil"), ("pair of gloves", "pairs of gloves"), ("tin of paint", "tins of paint"),
    ("chess set", "chess sets"), ("rain coat", "rain coats"), ("wall clock", "wall clocks"),
)  # fmt: skip
GOODS_HELD_OUT = (
    ("lemon cake", "lemon cakes"), ("box of candles", "boxes of candles"), ("travel map", "travel maps"),
    ("flower pot", "flower pots"), ("jar of honey", "jars of honey"), ("picture frame", "picture frames"),
)  # fmt: skip
PEOPLE = (
    "Anna Keller", "Bruno Silva", "Chen Wei", "Dana Novak", "Emil Larsen", "Fatima Haddad", "Grace Owusu", "Hugo Martin",
    "Ines Costa", "Jonas Weber", "Kavya Rao", "Liam Byrne", "Mara Rossi", "Noor Aziz", "Olga Petrova", "Pablo Ruiz",
)  # fmt: skip
PEOPLE_HELD_OUT = ("Quinn Adler", "Rosa Bianchi", "Samir Khan", "Tilda Berg", "Umar Sesay", "Vera Horvat")
PATTERNS = (
    "{customer} ordered {count} {item} for {day} at {price} dollars each.",
    "Please send {count} {item} to {customer} on {day}; the price is {price} dollars apiece.",
    "On {day} {customer} will pick up {count} {item}.",
    "{customer} wants {count} {item} and pays {price} dollars for each.",
    "An order from {customer}: {count} {item}, {price} dollars each, to be delivered on {day}.",
    "We have to deliver {count} {item} by {day}.",
    "{customer} called and asked for {count} {item}.",
    "Could I have {count} {item} on {day}, please? I am {customer}.",
    "{customer} bought {count} {item} this {day} at {price} dollars each.",
    "For {day}: {count} {item}, reserved by {customer}, no price agreed yet.",
    "At {price} dollars each, {customer} takes {count} {item}.",
    "Somebody bought {count} {item} on {day} and paid {price} dollars for each.",
)
PATTERNS_HELD_OUT = (
    "{customer} has asked us to bring {count} {item} on {day} for {price} dollars apiece.",
    "Note for {day}: {customer} needs {count} {item}.",
    "It is {customer} again, who would like {count} {item} at {price} dollars each.",
    "Next {day}: {count} {item} for {customer}.",
)
TRAIN, HELD_OUT = 400, 60


def load(progress: Progress | None = None) -> Split:
    """400 training and 60 held-out orders."""
    train = _orders(TRAIN, PATTERNS, PEOPLE, GOODS, seed=1)
    return Split(train, _orders(HELD_OUT, PATTERNS_HELD_OUT, PEOPLE_HELD_OUT, GOODS_HELD_OUT, seed=2))


def _orders(
    count: int, patterns: Sequence[str], people: Sequence[str], goods: Sequence[tuple[str, str]], seed: int
) -> tuple[Row, ...]:
    """So many different orders, every pattern equally often."""
    choose = random.Random(seed)
    found: dict[str, Row] = {}
    while len(found) < count:
        pattern = patterns[len(found) % len(patterns)]
        number = choose.randrange(1, 13)
        one, several = choose.choice(goods)
        price = choose.choice((choose.randrange(2, 90), choose.randrange(2, 40) + 0.5))
        said = {"customer": choose.choice(people), "day": choose.choice(DAYS), "item": one if number == 1 else several}
        said |= {"count": choose.choice((NUMBERS[number - 1], str(number))), "price": f"{price:g}"}
        sentence = pattern.format(**said)
        facts = {"customer": said["customer"], "item": one, "quantity": number, "price": price, "day": said["day"]}
        record = {name: facts[name] if f"{{{_word(name)}}}" in pattern else None for name in FIELDS}
        sentence = sentence[0].upper() + sentence[1:]
        found[sentence] = Row(PROMPT.format(sentence=sentence), json.dumps(record))
    return tuple(found.values())


def _word(field: str) -> str:
    return "count" if field == "quantity" else field


def record_of(answer: str) -> dict[str, Any] | None:
    """The JSON object that an answer is, code fences aside; None where it is none."""
    text = answer.strip().removeprefix("```json").removeprefix("```").removesuffix("```").strip()
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _pairs(record: dict[str, Any]) -> set[tuple[str, str]]:
    """(field, value) of what a record says; null says nothing. 4 and 4.0 are one value, and so are Apple and apple."""
    said = ((name, value) for name, value in record.items() if value is not None)
    return {(name, f"{v:g}" if isinstance(v, int | float) else json.dumps(v).casefold()) for name, v in said}


def score(rows: Sequence[Row], answers: Sequence[str], base_answers: Sequence[str] | None = None) -> dict[str, float]:
    """Valid JSON and field F1, in %: F1 over all (field, value) pairs that were said and that should have been."""
    if not rows:
        return {}
    records = [record_of(answer) for answer in answers]
    said = [_pairs(record or {}) for record in records]
    due = [_pairs(json.loads(row.completion)) for row in rows]
    right = sum(len(a & b) for a, b in zip(said, due, strict=True))
    of = sum(map(len, said)) + sum(map(len, due))
    valid = sum(record is not None for record in records)
    return {"valid_json": 100 * valid / len(rows), "field_f1": 200 * right / of if of else 0.0}


TASK = Task(
    key="json",
    title="Write orders as JSON",
    summary="Reads an order in a sentence and writes it as a JSON record with five fields.",
    licence="MIT",
    source="written for this lab",
    resources=(),
    load=load,
    metrics=(
        Metric(
            "field_f1",
            "Field F1",
            "%",
            "How many of the fields are right: a field left out and a field made up both cost.",
        ),
        Metric("valid_json", "Valid JSON", "%", "Of 100 answers, how many a program can read as a JSON object."),
    ),
    score=score,
    probes=(
        PROMPT.format(sentence="Yusuf Demir ordered three glass bowls for Friday at 12 dollars each."),
        PROMPT.format(sentence="Please keep one red umbrella for Zoe Laurent until Tuesday."),
        PROMPT.format(sentence="Two sacks of flour were sold for 8.5 dollars each."),
    ),
    max_new_tokens=64,
    scored_rows=32,
    max_length=160,
    row_tokens=120,
    shared_tokens=44,
)
