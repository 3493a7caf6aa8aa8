"""Plain truths that hold outside the invented world, too: opposites, sounds and young of animals, colours, sums, days."""

from __future__ import annotations

from collections.abc import Iterator

from experiments.pretraining.wordings import Wording

NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday Monday".split()
MONTHS = "January February March April May June July August September October November December January".split()
PAIRS = {
    "opposite": "hot cold,big small,day night,up down,left right,good bad,old young,happy sad,fast slow,hard soft,wet dry,"
    "open closed,full empty,high low,long short,strong weak,rich poor,early late,light dark,sweet bitter,near far,first last,"
    "clean dirty,quiet loud,thick thin,east west,north south,inside outside,true false,heavy light",
    "sound": "dog bark,cat mew,cow low,sheep bleat,duck quack,horse neigh,lion roar,bird sing,bee hum,snake hiss,frog croak,owl hoot",
    "young": "dog puppy,cat kitten,cow calf,sheep lamb,horse foal,hen chick,duck duckling,goat kid,pig piglet,bear cub,"
    "goose gosling,deer fawn,frog tadpole,swan cygnet",
    "seen": "grass green,snow white,coal black,the sky blue,blood red,milk white,the sun yellow,a lemon yellow,a cherry red,"
    "a carrot orange,a leaf green,chocolate brown,the night black,an elephant grey",
    "legs": "dog four,cat four,bird two,spider eight,ant six,fish zero,horse four,snake zero,bee six,duck two,cow four,frog four",
    "made": "bread flour,cheese milk,butter milk,wine grapes,paper wood,glass sand,a candle wax,a coat wool,a pot clay,a knife iron,"
    "a window glass,a shoe leather",
    "place": "fish water,birds a nest,bees a hive,kings a palace,horses a stable,pigs a sty,bears a cave,rabbits a hole,dogs a kennel,"
    "hens a house,sailors a ship,lions a den",
}
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
    for kind, pairs in PAIRS.items():
        for pair in pairs.split(","):
            article, *rest = pair.split(" ")
            split = 2 if article in ("a", "an", "the") else 1
            words = [article, *rest]
            yield kind, " ".join(words[:split]), " ".join(words[split:]), WORDINGS[kind]
    for i in range(1, 10):
        for j in range(1, 10):
            yield "sum", f"{NUMBERS[i]} and {NUMBERS[j]}", NUMBERS[i + j], WORDINGS["sum"]
    for names in (DAYS, MONTHS):
        for name, following in zip(names, names[1:], strict=False):
            yield "after", name, following, WORDINGS["after"]
