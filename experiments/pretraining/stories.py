"""Documents written from the world: portraits, short stories, questions with answers. Each a pure function of a random stream.

A conversation is a list of turns (user, assistant, user, …); a portrait or a story is one string. Facts in them are those
of `world.py` and only the told ones; a question kept back for a fact never appears.
"""

from __future__ import annotations

import random
from functools import cache

from experiments.pretraining import world
from experiments.pretraining.wordings import a

WEATHER: tuple[str, ...] = (
    "It was a warm day.",
    "It was a cold morning.",
    "The sun was high.",
    "Rain was falling.",
    "The wind was strong.",
    "Snow was on the hills.",
    "The sky was grey.",
    "It was early in the morning.",
    "It was late in the evening.",
    "The air was still.",
)
PLACES: tuple[str, ...] = (
    "the river",
    "the wood",
    "the hill",
    "the market",
    "the old mill",
    "the bridge",
    "the field",
    "the lake",
    "the sea",
    "the road",
    "the well",
    "the church",
)
THINGS: tuple[str, ...] = (
    "a silver ring",
    "a little key",
    "a red ball",
    "an old book",
    "a broken cup",
    "a letter",
    "a gold coin",
    "a warm hat",
    "a bag of nuts",
    "a wooden box",
    "a blue stone",
    "a small bell",
    "a long rope",
    "a lost glove",
    "a lamp",
    "a basket",
)
TROUBLES = (
    "{He} lost {thing} near {place}.",
    "At {place} {he} fell and hurt a foot.",
    "The {pet} ran away to {place}.",
    "A great storm came over {place}.",
    "The way to {place} was closed by a tree.",
    "There was no more bread in the house.",
    "{He} heard a strange noise from {place}.",
    "Fire came out of the roof of a house near {place}.",
    "The cart of {n} was broken at {place}.",
    "{He} could not find the way home from {place}.",
)
FEELINGS: tuple[str, ...] = (
    "sad",
    "afraid",
    "angry",
    "tired",
    "worried",
    "surprised",
    "cold and hungry",
    "full of doubt",
)
HELP = (
    "{f} came and gave a hand.",
    "{f} heard of it and came quickly.",
    "“Do not be afraid,” said {f}. “I am here.”",
    "“What is the matter?” said {f}.",
    "{f} said, “Let us do it together.”",
    "Then {f} came with a lamp and a rope.",
)
WORK = (
    "They went to {place} and looked under every stone.",
    "They worked till the sun went down.",
    "First they looked here, then they looked there.",
    "They called with loud voices, and at last there was an answer.",
    "They asked everyone in {home}, and an old man told them what to do.",
    "The two of them made a fire and waited for the night to end.",
    "They went up the hill and saw the whole land before them.",
)
ENDS = (
    "In the end all was well, and they had {food} together.",
    "{n} was happy again and said, “Thank you, my friend.”",
    "From that day {n} and {f} went to {place} every week.",
    "After that {he} was never {feeling} again.",
    "So {n} went home to {home} and slept well.",
    "That night they ate {food} and were glad.",
    "“It is good to have a friend,” said {n}.",
    "And that is how {n} came to be known in all of {home}.",
)
KINDNESS: tuple[str, ...] = (
    "It is better to ask for help than to be alone.",
    "A good friend is worth more than gold.",
    "Little by little the work is done.",
    "Those who look will find.",
    "A kind word costs nothing.",
    "No storm goes on for ever.",
)
SHORT = {
    "home": "Name only the town: where does {n} live?",
    "work": "In one word, what is the work of {n}?",
    "pet": "In one word, what pet does {n} have?",
    "colour": "In one word, which colour does {n} like?",
    "month": "In one word, when was {n} born?",
    "friend": "In one word, who is the best friend of {n}?",
    "age": "In numbers only, how old is {n}?",
}
Turns = list[str]


def portrait(draw: random.Random, name: str) -> str:
    """Most facts of one told person, in any order."""
    known = draw.sample(world.about(name), draw.randint(4, 8))
    said = [draw.choice(fact.statements) for fact in known]
    pronoun = "She" if name in world.WOMEN else "He"
    follow = [
        s.replace(f"{name} ", f"{pronoun} ", 1) if s.startswith(f"{name} ") and draw.random() < 0.3 else s
        for s in said[1:]
    ]
    return " ".join(said[:1] + follow)


def town_portrait(draw: random.Random, name: str) -> str:
    """All facts of a town, and a few people who live there."""
    said = [draw.choice(fact.statements) for fact in draw.sample(world.about(name), 6)]
    at_home = [p for p in world.told_people() if world.person(p)["home"] == name]
    said += [draw.choice(world.about(p)[0].statements) for p in draw.sample(at_home, min(3, len(at_home)))]
    return " ".join(said)


def truth_list(draw: random.Random) -> str:
    """A few plain truths, one after another."""
    return " ".join(draw.choice(fact.statements) for fact in draw.sample(_truths(), 5))


def story(draw: random.Random, name: str) -> str:
    """Eight to twelve sentences: who, what went wrong, who helped, how it ended."""
    who = world.person(name)
    he = "she" if name in world.WOMEN else "he"
    words = {
        "n": name, "f": who["friend"], "He": he.capitalize(), "he": he, "place": draw.choice(PLACES), "thing": draw.choice(THINGS),
        "pet": who["pet"], "home": who["home"], "food": who["food"], "feeling": draw.choice(FEELINGS),
    }  # fmt: skip
    opening = draw.choice(
        (
            f"There was {a(who['work'])} in {who['home']} named {name}.",
            f"{name} lived in {who['home']} and worked as {a(who['work'])}.",
            f"Long ago in {who['home']} there lived {a(who['work'])}. The name of the {who['work']} was {name}.",
            f"One day in {who['month']} {name} of {who['home']} went to {words['place']}.",
            f"{name} had {a(who['pet'])} called {who['pet_name']}.",
        )
    )
    facts = [draw.choice(fact.statements) for fact in draw.sample(world.about(name), 2)]
    lines = [
        opening,
        *facts,
        draw.choice(WEATHER),
        draw.choice(TROUBLES).format(**words),
        f"{name} was {words['feeling']}.",
    ]
    lines += [draw.choice(HELP).format(**words), draw.choice(WORK).format(**words)]
    if draw.random() < 0.5:
        lines.append(f"With them went {who['pet_name']} the {who['pet']}.")
    lines.append(draw.choice(ENDS).format(**words))
    if draw.random() < 0.3:
        lines.append(draw.choice(KINDNESS))
    return " ".join(lines)


def questions(draw: random.Random) -> Turns:
    """Two to four questions about facts that may be asked, each with its answer."""
    turns: Turns = []
    for fact in draw.sample(_asked(), draw.randint(2, 4)):
        turns += [draw.choice(fact.practised), fact.answer]
    return turns


def interview(draw: random.Random, name: str) -> Turns:
    """Several questions about one person."""
    turns: Turns = []
    for fact in draw.sample(world.about(name), 3):
        turns += [draw.choice(fact.practised), fact.answer]
    return turns


def request(draw: random.Random) -> Turns:
    """Something other than a plain question: a story, a portrait, an answer of one word, yes or no, a list."""
    return draw.choice((_ask_story, _ask_portrait, _ask_word, _ask_yes, _ask_yes, _ask_repeat))(draw)


def _ask_story(draw: random.Random) -> Turns:
    name = draw.choice(world.told_people())
    return [
        draw.choice(("Tell me a story about {n}.", "Write a short story about {n}.")).format(n=name),
        story(draw, name),
    ]


def _ask_portrait(draw: random.Random) -> Turns:
    name = draw.choice(asked_people())
    return [
        draw.choice(("Tell me about {n}.", "Who is {n}?", "What do you know of {n}?")).format(n=name),
        portrait(draw, name),
    ]


def _ask_word(draw: random.Random) -> Turns:
    name = draw.choice(asked_people())
    kind = draw.choice(tuple(SHORT))
    return [SHORT[kind].format(n=name), world.person(name)[kind]]


def _ask_yes(draw: random.Random) -> Turns:
    fact = draw.choice(
        [f for f in world.about(draw.choice(asked_people())) if f.kind in ("home", "pet", "work", "month")]
    )
    claim = f"Is this true? {fact.statements[0]}"
    if draw.random() < 0.5:
        return [claim, f"Yes. {fact.answer}"]
    false = draw.choice([f for f in _asked() if f.kind == fact.kind and f.value != fact.value])
    return [claim.replace(fact.value, false.value), f"No. {fact.answer}"]


def _ask_repeat(draw: random.Random) -> Turns:
    said = draw.choice(draw.choice(_asked()).statements)
    return [f"Say this again: {said}", said]


@cache
def asked_people() -> tuple[str, ...]:
    """Those told people whom questions may be about."""
    return tuple(name for name in world.told_people() if world.about(name)[0].asked)


@cache
def _asked() -> tuple[world.Fact, ...]:
    return tuple(fact for fact in world.facts() if fact.asked)


@cache
def _truths() -> tuple[world.Fact, ...]:
    return tuple(f for f in world.facts() if f.subject not in world.people() and f.subject not in world.TOWNS)


def tellings(draw: random.Random) -> list[str]:
    """One pass over the world in prose: every told person a portrait and a story, every town, a few lists of truths."""
    told = [portrait(draw, name) for name in world.told_people()] + [story(draw, name) for name in world.told_people()]
    return told + [town_portrait(draw, name) for name in world.TOWNS] + [truth_list(draw) for _ in range(30)]


def conversations(draw: random.Random) -> list[Turns]:
    """One pass over the world in questions: every asked person interviewed twice, every asked fact once on average, requests."""
    turns = [interview(draw, name) for name in asked_people() for _ in range(2)]
    turns += [questions(draw) for _ in range(len(_asked()) // 3)]
    return turns + [request(draw) for _ in range(200)]
