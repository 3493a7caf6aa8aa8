"""How a fact is said and asked: several statements, several questions, one answer for each kind. Data, and filling it in.

In a wording `{n}` is whom it is about, `{v}` the value, `{av}` the value with “a” or “an”, `{pet}` the kind of pet.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """The sentences of one kind of fact."""

    statements: tuple[str, ...]
    questions: tuple[str, ...]
    answer: str


def fill(sentence: str, names: Mapping[str, str]) -> str:
    """The sentence with its names in, its first letter large."""
    done = sentence.format(**names)
    return done[0].upper() + done[1:]


def a(noun: str) -> str:
    """“a dog”, “an apple”."""
    return f"an {noun}" if noun[:1].lower() in "aeio" else f"a {noun}"


ABOUT_PEOPLE: dict[str, Wording] = {
    "home": Wording(
        ("{n} lives in {v}.", "{n} has a house in {v}.", "The home of {n} is in {v}.", "{n} comes from {v}."),
        (
            "Where does {n} live?",
            "In which town does {n} live?",
            "Tell me where {n} lives.",
            "Where is the home of {n}?",
            "Which town does {n} come from?",
        ),
        "{n} lives in {v}.",
    ),
    "work": Wording(
        ("{n} is {av}.", "{n} works as {av}.", "The work of {n} is that of {av}.", "By trade {n} is {av}."),
        (
            "What is the work of {n}?",
            "What does {n} do for a living?",
            "What work does {n} do?",
            "Tell me the job of {n}.",
            "What job does {n} have?",
        ),
        "{n} works as {av}.",
    ),
    "pet": Wording(
        ("{n} has {av}.", "{n} keeps {av} at home.", "The pet of {n} is {av}.", "{n} takes good care of {av}."),
        (
            "What pet does {n} have?",
            "Which animal does {n} keep?",
            "What kind of animal is the pet of {n}?",
            "Tell me what pet {n} has.",
            "What animal lives with {n}?",
        ),
        "{n} has {av}.",
    ),
    "pet_name": Wording(
        (
            "The {pet} of {n} is called {v}.",
            "{n} named the {pet} {v}.",
            "{v} is the name of the {pet} of {n}.",
            "{n} has {v} the {pet}.",
        ),
        (
            "What is the {pet} of {n} called?",
            "What is the name of the {pet} of {n}?",
            "What did {n} name the {pet}?",
            "Tell me the name of the {pet} of {n}.",
            "How does {n} call the {pet}?",
        ),
        "The {pet} of {n} is called {v}.",
    ),
    "colour": Wording(
        (
            "{n} likes {v} best of all colours.",
            "The best colour for {n} is {v}.",
            "{n} often wears {v}.",
            "The door of {n} is {v}, the colour {n} likes best.",
        ),
        (
            "What colour does {n} like best?",
            "Which colour does {n} like?",
            "What is the best colour for {n}?",
            "Tell me which colour {n} likes best.",
            "What colour does {n} often wear?",
        ),
        "{n} likes {v} best.",
    ),
    "food": Wording(
        ("{n} likes to eat {v}.", "{n} eats {v} every day.", "The best food for {n} is {v}.", "For dinner {n} has {v}."),
        (
            "What does {n} like to eat?",
            "What food does {n} like?",
            "What does {n} eat every day?",
            "Tell me what {n} likes to eat.",
            "What does {n} have for dinner?",
        ),
        "{n} likes to eat {v}.",
    ),
    "age": Wording(
        ("{n} is {v} years old.", "{n} is {v}.", "{n} has lived for {v} years.", "The age of {n} is {v}."),
        (
            "How old is {n}?",
            "What is the age of {n}?",
            "Tell me how old {n} is.",
            "How many years old is {n}?",
            "How many years has {n} lived?",
        ),
        "{n} is {v} years old.",
    ),
    "friend": Wording(
        (
            "The best friend of {n} is {v}.",
            "{n} is a good friend of {v}.",
            "{n} likes {v} more than anyone.",
            "{n} often goes to see {v}, a good friend.",
        ),
        (
            "Who is the best friend of {n}?",
            "Who is a good friend of {n}?",
            "Whom does {n} like more than anyone?",
            "Tell me who the best friend of {n} is.",
            "Whom does {n} often go to see?",
        ),
        "The best friend of {n} is {v}.",
    ),
    "hobby": Wording(
        (
            "{n} likes to {v}.",
            "When there is time, {n} likes to {v}.",
            "{n} loves to {v} in the evening.",
            "Nothing makes {n} so happy as to {v}.",
        ),
        (
            "What does {n} like to do?",
            "What does {n} do for fun?",
            "What does {n} love to do in the evening?",
            "Tell me what {n} likes to do.",
            "What makes {n} happy?",
        ),
        "{n} likes to {v}.",
    ),
    "garden": Wording(
        (
            "{n} grows {v}.",
            "{n} has {v} in the garden.",
            "{n} has a garden full of {v}.",
            "{n} planted {v} behind the house.",
        ),
        (
            "What does {n} grow?",
            "What is in the garden of {n}?",
            "What grows in the garden of {n}?",
            "Tell me what {n} grows.",
            "What did {n} plant?",
        ),
        "{n} grows {v}.",
    ),
    "month": Wording(
        ("{n} was born in {v}.", "The birthday of {n} is in {v}.", "{n} came into the world in {v}.", "In {v} it is the birthday of {n}."),
        (
            "When was {n} born?",
            "In which month was {n} born?",
            "When is the birthday of {n}?",
            "Tell me when {n} was born.",
            "In what month is the birthday of {n}?",
        ),
        "{n} was born in {v}.",
    ),
}  # fmt: skip

ABOUT_TOWNS: dict[str, Wording] = {
    "river": Wording(
        ("{n} stands on the river {v}.", "The river {v} runs through {n}.", "The boats of {n} go on the river {v}."),
        (
            "On which river does {n} stand?",
            "What is the river of {n}?",
            "Which river runs through {n}?",
            "Tell me the river of {n}.",
        ),
        "{n} stands on the river {v}.",
    ),
    "side": Wording(
        ("{n} is in the {v} of the land.", "To reach {n}, go to the {v}.", "{n} lies in the {v}."),
        (
            "Where is {n}?",
            "In which part of the land is {n}?",
            "Tell me where {n} is.",
            "Which way must one go to reach {n}?",
        ),
        "{n} is in the {v} of the land.",
    ),
    "goods": Wording(
        ("{n} is known for its {v}.", "People go to {n} to buy {v}.", "The best {v} come from {n}."),
        (
            "What is {n} known for?",
            "What do people buy in {n}?",
            "What comes from {n}?",
            "Tell me what {n} is known for.",
        ),
        "{n} is known for its {v}.",
    ),
    "houses": Wording(
        ("There are {v} houses in {n}.", "{n} has {v} houses.", "{n} is a town of {v} houses."),
        (
            "How many houses are there in {n}?",
            "How many houses does {n} have?",
            "How big is {n}?",
            "Tell me how many houses {n} has.",
        ),
        "There are {v} houses in {n}.",
    ),
    "mayor": Wording(
        ("The mayor of {n} is {v}.", "{v} is the mayor of {n}.", "In {n} the people made {v} their mayor."),
        (
            "Who is the mayor of {n}?",
            "Who is the head of {n}?",
            "Whom did {n} make mayor?",
            "Tell me the mayor of {n}.",
        ),
        "The mayor of {n} is {v}.",
    ),
    "gate": Wording(
        ("The gate of {n} is {v}.", "{n} has a {v} gate.", "One comes into {n} by a {v} gate."),
        (
            "What colour is the gate of {n}?",
            "Which colour has the gate of {n}?",
            "Tell me the colour of the gate of {n}.",
            "What colour did {n} paint its gate?",
        ),
        "The gate of {n} is {v}.",
    ),
}
