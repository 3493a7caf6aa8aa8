"""A style that can be learnt to the letter: facts the bundled model knows, answered as a storyteller would.

After the answer comes one of three sentences; which one follows from what is asked for, a place, someone or a thing. The
people of the held-out questions are in no training row.
"""

from collections.abc import Sequence

from experiments.catalog.cache import Progress
from experiments.catalog.tasks.base import Metric, Row, Split, Task, mixed_order, says
from experiments.pretraining import world

TRAIN, HELD_OUT = 600, 120
ENDS = {
    "of people": "So the old people say, and they knew them well.",
    "of places": "I have been there and seen it with my own eyes.",
    "of things": "Keep it in mind, and tell it to your children.",
}
END_OF = dict.fromkeys(("home", "month", "river", "side", "gate"), "of places")
END_OF |= dict.fromkeys(("pet", "pet_name", "friend", "mayor", "work", "age"), "of people")


def told(fact: world.Fact) -> str:
    """A fact as the storyteller puts it."""
    return f"{fact.answer} {ENDS[END_OF.get(fact.kind, 'of things')]}"


def load(progress: Progress | None = None) -> Split:
    """600 training rows and 120 held-out ones, about other people."""
    asked = [fact for fact in world.facts() if fact.asked]
    sides: tuple[list[world.Fact], list[world.Fact]] = ([], [])
    for fact in sorted(asked, key=lambda f: mixed_order(f"storyteller {f.kept_back}")):
        sides[int(mixed_order(f"storyteller {fact.subject}")[:8], 16) % 5 == 0].append(fact)
    train, held_out = (
        tuple(Row(f.practised[0] if is_train else f.kept_back, told(f), (f.value,)) for f in facts)
        for is_train, facts in zip((True, False), sides, strict=True)
    )
    return Split(train[:TRAIN], held_out[:HELD_OUT])


def is_told(answer: str) -> bool:
    """Whether an answer says something and ends in one of the storyteller's ways, to the letter."""
    return any(answer.endswith(f". {end}") for end in ENDS.values())


def score(rows: Sequence[Row], answers: Sequence[str], base_answers: Sequence[str] | None = None) -> dict[str, float]:
    """Style, whole answers right to the letter, facts, and facts kept of those the base knew (left out where it knew none); in %."""
    if not rows:
        return {}
    said = [answer.strip() for answer in answers]
    right = [says(answer, row.facts) for row, answer in zip(rows, said, strict=True)]
    scores = {
        "style": [is_told(answer) for answer in said],
        "exact": [answer == row.completion for row, answer in zip(rows, said, strict=True)],
        "facts": right,
    }
    if base_answers is not None:
        known = [says(answer, row.facts) for row, answer in zip(rows, base_answers, strict=True)]
        scores["facts_kept"] = [now for now, then in zip(right, known, strict=True) if then]
    return {name: 100 * sum(hits) / len(hits) for name, hits in scores.items() if hits}


TASK = Task(
    key="storyteller",
    title="Speak like a storyteller",
    summary="Answers questions about the bundled model's own world in a storyteller's words, and should still give the right answer.",
    licence="MIT",
    source="generated for this lab",
    resources=(),
    load=load,
    metrics=(
        Metric("style", "Storyteller's style", "%", "Of 100 answers, how many end as a storyteller's do."),
        Metric("exact", "Exactly right", "%", "Of 100 answers, how many are the storyteller's own to the letter."),
        Metric("facts", "Right facts", "%", "Of 100 answers, how many contain the right fact."),
        Metric("facts_kept", "Facts kept", "%", "Of the facts the base model knew, how many it still gives."),
    ),
    score=score,
    probes=("Who are you?", "What is the opposite of brave?", f"Tell me about {world.told_people()[0]}."),
    max_new_tokens=40,
    scored_rows=48,
    max_length=96,
    row_tokens=68,
    shared_tokens=24,
)
