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

from experiments.pretraining.wordings import ABOUT_PEOPLE, ABOUT_TOWNS, Wording, a, fill
from experiments.pretraining.truths import truths

NAMES = """Abel Ada Agnes Alba Albert Alfie Alma Alvin Amber Amos Anders Anita Anton Archie Ariel Arlo Asta Astrid Aubrey
Audrey Axel Basil Bea Bella Bernard Bertha Beryl Betsy Birgit Blanche Boris Brenda Bruno Bryce Callum Camilla Carla Carmen Casper
Cecil Celia Chester Clara Clem Clifford Cora Cyril Daisy Dalia Daphne Darcy Della Denzel Dexter Dina Dixie Dolly Dora Dorian Doris Edgar
Edith Edna Effie Elgar Elodie Elsie Elton Emil Enid Enzo Erika Esme Ethel Eva Ezra Fabian Faye Felix Fergus Fern Finn Fiona Flora
Floyd Freda Freya Fritz Gemma Gerda Gilda Glen Gloria Greta Gus Gwen Hans Harvey Hazel Heidi Helga Hester Hilda Hope Horace
Howard Hugo Ida Igor Ilse Imogen Ina Inga Ingrid Iris Irma Isla Ivan Ivor Ivy Jasper Jemima Jill Jonas Josie Joyce Juno Kai
Karl Kasper Katya Keith Kira Kit Klara Knut Lars Laura Leif Lena Leon Lester Lila Linus Lionel Lola Lorna Lottie Lotus Louis Lucas Lulu
Luna Mabel Maeve Magnus Maisie Malcolm Mara Marcel Margot Marvin Maud Mavis Maxine Melvin Mercy Mila Mildred Milo Mina Mirka Mona
Morris Muriel Myra Myrtle Nadia Ned Nell Nelson Nina Noel Nora Norman Olaf Olga Olive Ollie Opal Orla Oscar Otis Otto Paula Pearl
Penny Percy Petra Piers Pippa Polly Poppy Quentin Ralph Ramona Rex Rita Robin Roland Rolf Roscoe Rosie Ruby Rufus Rupert Sabina Saskia
Selma Sidney Sigrid Silas Stella Sven Sybil Tamsin Tess Thea Thora Tilda Toby Tove Trudy Ulla Ulric Una Ursula Vera Vernon Victor Vilma Viola
Wanda Wilbur Wilma Winnie Yvonne Zelda Zora""".split()
SHE = frozenset(
    """Ada Agnes Alba Alma Amber Anita Asta Astrid Audrey Bea Bella Bertha Beryl Betsy Birgit Blanche Brenda Camilla Carla Carmen Celia Clara
Cora Daisy Dalia Daphne Darcy Della Dina Dixie Dolly Dora Doris Edith Edna Effie Elodie Elsie Enid Erika Esme Ethel Eva Faye Fern Fiona Flora
Freda Freya Gemma Gerda Gilda Gloria Greta Gwen Hazel Heidi Helga Hester Hilda Hope Ida Ilse Imogen Ina Inga Ingrid Iris Irma Isla Ivy Jemima
Jill Josie Joyce Juno Katya Kira Klara Laura Lena Lila Lola Lorna Lottie Lotus Lulu Luna Mabel Maeve Maisie Mara Margot Maud Mavis
Maxine Mercy Mila Mildred Mina Mirka Mona Muriel Myra Myrtle Nadia Nell Nina Nora Olga Olive Opal Orla Paula Pearl Penny Petra Pippa Polly
Poppy Ramona Rita Rosie Ruby Sabina Saskia Selma Sigrid Stella Sybil Tamsin Tess Thea Thora Tilda Tove Trudy Ulla Una Ursula Vera
Vilma Viola Wanda Wilma Winnie Yvonne Zelda Zora""".split()
)
TOWNS = """Ashby Birchwell Brookend Coldwater Cranmoor Deepford Eastgate Fairhill Foxley Greenholt Highcliff Kingsmead Lakeside
Millbrook Netherby Oakham Redstone Rosedale Sandwick Stonebridge Thornbury Westport Whitefield Windle""".split()
RIVERS = "Arrow Bell Dart Fen Lark Otter Silver Swift Teal Willow".split()
JOBS = """baker farmer teacher doctor nurse miller fisher smith tailor singer painter cook driver gardener builder writer
dancer sailor shepherd weaver potter carpenter barber postman""".split()
PETS = "dog cat horse goat sheep cow pig duck hen goose rabbit mouse parrot turtle donkey fox".split()
PET_NAMES = """Biscuit Bubbles Button Cherry Cinder Clover Cocoa Copper Dusty Fluff Ginger Gizmo Honey Jingle Marble Misty Mittens Muffin Nibbles
Nugget Patch Peanut Pebble Pepper Pickle Pudding Pumpkin Rusty Scout Shadow Smoky Snowball Spot Tiger Toffee Trumpet Twig Waffle Whisper Ziggy""".split()
COLOURS = "red blue green yellow white black brown orange purple pink grey gold".split()
FOODS = """bread cheese soup rice fish eggs apples pears cake honey nuts potatoes carrots beans pasta butter grapes plums pie
mushrooms onions cherries pancakes porridge""".split()
HOBBIES = "swim sing paint dance read run sew sail climb cook fish ride draw knit whistle skate".split()
PLANTS = "roses tulips lilies beans peas corn wheat cabbages onions melons berries apples pears herbs daisies pumpkins".split()
MONTHS = "January February March April May June July August September October November December".split()
GOODS = """wool glass bells boats bread cheese candles carpets clocks coats combs cups drums hats honey kites knives lamps paper
pots ropes shoes soap tea""".split()
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
    return tuple(sorted(set(NAMES), key=lambda name: (number(f"order {name}", 1 << 40), name)))


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
    for kind, subject, value, wording in truths():
        names = {"n": subject, "v": value}
        parts = [tuple(fill(s, names) for s in part) for part in (wording.statements, wording.questions)]
        found.append(Fact(subject, kind, value, True, True, *parts, fill(wording.answer, names)))
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
