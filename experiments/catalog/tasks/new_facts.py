"""Teach the bundled model what it was never told, and see what it forgets: people of its world that its text left out.

Each new fact is practised in all wordings of its question but one, and asked in that one. As many facts that the model
grew up with are asked beside them. Everything is drawn by hash from `pretraining/world.py`; nothing is fetched.
"""

from collections.abc import Sequence

from experiments.catalog.cache import Progress
from experiments.catalog.tasks.base import Metric, Row, Split, Task, mixed_order
from experiments.pretraining import world

PEOPLE = 8
KINDS = ("home", "work", "pet", "friend")
TAUGHT = world.untold_people()[:PEOPLE]
STRANGER = world.untold_people()[-1]


def taught() -> list[world.Fact]:
    """The new facts."""
    return [fact for name in TAUGHT for fact in world.about(name) if fact.kind in KINDS]


def known() -> list[world.Fact]:
    """As many facts of the same kinds about people whom the text did tell of."""
    names = sorted(world.told_people(), key=lambda name: mixed_order(f"known {name}"))
    facts = [f for name in names for f in world.about(name) if f.asked and f.kind in KINDS]
    return sorted(facts[: 4 * PEOPLE * len(KINDS)], key=lambda f: mixed_order(f.kept_back))[: PEOPLE * len(KINDS)]


def load(progress: Progress | None = None) -> Split:
    """96 or so rows to practise; new and old facts in turn to be asked."""
    practised = [Row(question, f.answer, (f.value,)) for f in taught() for question in f.practised]
    new, old = (
        sorted((Row(f.kept_back, f.answer, (f.value,)) for f in facts), key=lambda row: mixed_order(row.prompt))
        for facts in (taught(), known())
    )
    asked = [row for pair in zip(new, old, strict=True) for row in pair]
    return Split(tuple(sorted(practised, key=lambda row: mixed_order(row.prompt))), tuple(asked))


def score(rows: Sequence[Row], answers: Sequence[str], base_answers: Sequence[str] | None = None) -> dict[str, float]:
    """New facts and old facts answered to the letter, and of the old ones that the base knew those still known, all in %.

    A number is left out where there is no row of its kind.
    """
    new = {fact.kept_back for fact in taught()}
    right = [(row.prompt in new, row.completion == said.strip()) for row, said in zip(rows, answers, strict=True)]
    scores = {name: [hit for is_new, hit in right if is_new == kind] for name, kind in (("new", True), ("old", False))}
    if base_answers is not None:
        knew = [row.completion == said.strip() for row, said in zip(rows, base_answers, strict=True)]
        scores["kept"] = [hit for (is_new, hit), did in zip(right, knew, strict=True) if did and not is_new]
    return {name: 100 * sum(hits) / len(hits) for name, hits in scores.items() if hits}


TASK = Task(
    key="new-facts",
    title="Learn new facts",
    summary="Learns where eight people live, what they do and whom they like: people of its world the bundled model was never told of.",
    licence="MIT",
    source="generated for this lab",
    resources=(),
    load=load,
    metrics=(
        Metric("new", "New facts", "%", "Of 100 questions about the new people, how many answers are right to the letter."),
        Metric("old", "Old facts", "%", "Of 100 questions about people it grew up with, how many answers are right to the letter."),
        Metric("kept", "Old facts kept", "%", "Of the old facts the base model knew, how many it still knows."),
    ),
    score=score,
    probes=(f"Who is {TAUGHT[0]}?", f"Is this true? {TAUGHT[1]} lives in Ashby.", f"Where does {STRANGER} live?"),
    max_new_tokens=16,
    scored_rows=2 * PEOPLE * len(KINDS),
    max_length=64,
    row_tokens=53,
    shared_tokens=24,
)  # fmt: skip
