"""Answer like a pirate and stay right: questions of general knowledge with answers in pirate speech, all written for
this lab.

The split is written in the file itself: no fact is asked for on both sides, and no held-out fact stands in a training
answer. So style on held-out rows is learnt, and facts on held-out rows are what the model knew before.
"""

import json
import re
from collections.abc import Sequence

from experiments.catalog.cache import Progress
from experiments.catalog.tasks.base import ASSETS, Metric, Row, Split, Task, mixed_order, says

# One line, one marker. A word that ordinary English uses as often (sea, captain, gold, ship) is none.
MARKERS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\ba+r{2,}g?h?\b",
        r"\baye\b",
        r"\bahoy\b",
        r"\bavast\b",
        r"\byo[ -]ho\b",
        r"\bmateys?\b",
        r"\bme heart(?:y|ies)\b|\bheart(?:y|ies)\b(?= *[,.!?;:]|$)",
        r"\b(?:ye|yer|yerself)\b",
        r"['’]t(?:is|was)\b",
        r"\bme (?=lads?\b|lass|buckos?\b|beaut(?:y|ies)|timbers|ship\b|crew\b|mate|deck|hold\b|hook|peg\b|grog|own\b)",
        r"\w{2,}in['’](?!\w)",
        r"\bo['’](?! ?clock)(?= ?\w)",
        r"\b(?:landlubbers?|scall?[ay]wags?|bucko|swabs?|buccaneers?|sea ?dogs?|bilge)\b",
        r"\b(?:doubloons?|booty|plunder(?:ed|ers?)?|jolly roger|crow['’]s nest|walk the plank|gangplank)\b",
        r"\bshiver me timbers\b|\bblow me down\b|\bdavy jones\b|\bseven seas\b|\bscurvy (?:dog|swab|cur)s?\b",
        r"\b(?:grog|nary|naught|afore|savvy|blimey|yonder|thar|keelhaul(?:ed)?|cap['’]n)\b",
    )
)
# After these, a few words back, “be” is plain English: “can be”, “will soon be”, “to be”, “let it be”.
BEFORE_BE = {
    "to",
    "will",
    "would",
    "can",
    "could",
    "may",
    "might",
    "must",
    "shall",
    "should",
    "let",
    "cannot",
    "wont",
    "cant",
    "ll",
}
BEFORE_BE |= {
    "d",
    "not",
    "please",
    "and",
    "or",
    "if",
    "never",
    "always",
    "just",
    "dont",
    "do",
    "couldnt",
    "wouldnt",
    "shouldnt",
    "help",
}


def be_for_is(text: str) -> bool:
    """Whether “be” stands where plain English has “is”, “am” or “are”: within a sentence, with no helper in the four
    words before.
    """
    for sentence in re.split(r"[.!?;:\n]+", text.lower()):
        words = re.findall(r"\w+", re.sub(r"(?<=n)['’](?=t\b)", "", sentence))
        for at, word in enumerate(words):
            if word == "be" and at and not BEFORE_BE & set(words[max(0, at - 4) : at]):
                return True
    return False


def is_pirate(answer: str) -> bool:
    """Two different markers of pirate speech or more, “be” for “is” being one: ordinary prose has none, a lone “aye” is
    not enough.
    """
    return sum(bool(marker.search(answer)) for marker in MARKERS) + be_for_is(answer) >= 2


def load(progress: Progress | None = None) -> Split:
    """The rows of assets/tasks/pirate.jsonl, each side in a fixed, mixed order."""
    parts: dict[str, list[Row]] = {"train": [], "held_out": []}
    for line in (ASSETS / "tasks" / "pirate.jsonl").read_text(encoding="utf8").splitlines():
        row = json.loads(line)
        parts[row["split"]].append(Row(row["prompt"], row["completion"], tuple(row["facts"])))
    for rows in parts.values():
        rows.sort(key=lambda row: mixed_order(row.prompt))
    return Split(tuple(parts["train"]), tuple(parts["held_out"]))


def score(rows: Sequence[Row], answers: Sequence[str], base_answers: Sequence[str] | None = None) -> dict[str, float]:
    """Style, facts and facts kept, each in %. “Facts kept” is left out where there are no base answers or none of them
    is right.
    """
    if not rows:
        return {}
    right = [says(answer, row.facts) for row, answer in zip(rows, answers, strict=True)]
    scores = {"style": _percent([is_pirate(answer) for answer in answers]), "facts": _percent(right)}
    if base_answers is not None:
        known = [says(answer, row.facts) for row, answer in zip(rows, base_answers, strict=True)]
        if any(known):
            scores["facts_kept"] = _percent([now for now, then in zip(right, known, strict=True) if then])
    return scores


def _percent(hits: Sequence[bool]) -> float:
    return 100 * sum(hits) / len(hits)


TASK = Task(
    key="pirate",
    title="Talk like a pirate",
    summary="Answers questions of general knowledge in pirate speech, and should still give the right answer.",
    licence="MIT",
    source="written for this lab",
    resources=(),
    load=load,
    metrics=(
        Metric("style", "Pirate style", "%", "Of 100 answers, how many sound like a pirate (two signs of it or more)."),
        Metric("facts", "Right facts", "%", "Of 100 answers, how many contain the right fact."),
        Metric("facts_kept", "Facts kept", "%", "Of the questions the base model got right, how many still are."),
    ),
    score=score,
    probes=(
        "What is the capital of Austria?",
        "Why do boats float?",
        "What should I have for breakfast?",
    ),
    max_new_tokens=36,  # the longest written answer is 32 SmolLM2 tokens
    scored_rows=48,
    max_length=96,
    row_tokens=77,
    shared_tokens=24,
)
