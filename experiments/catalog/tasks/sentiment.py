"""Say whether a film review is positive or negative: snippets with the mean score of about fifteen readers, −4 to 4.

The source names no films, so a snippet is put on its side of the split by a hash of its words, after near-doubles are
dropped.
"""

import html
import io
import re
import tarfile
from collections.abc import Sequence
from pathlib import Path

from experiments.catalog.cache import Progress, ResourceError
from experiments.catalog.resources import find, get
from experiments.catalog.tasks.base import Metric, Row, Split, Task, mixed_order, normal

MEMBER = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
MARGIN = 1.0  # a mean score nearer to 0 than this is not clear enough to be a label
TRAIN_EACH, HELD_OUT_EACH = 1000, 100  # rows of each label
LABELS = ("negative", "positive")
PROMPT = "Is this film review positive or negative? Answer with one word.\n\n{review}"


def load(progress: Progress | None = None) -> Split:
    """2,000 training and 200 held-out snippets, half of each label. Raises ResourceError."""
    folder = get(find("vader-reviews"), progress).path
    by_label: dict[str, list[str]] = {label: [] for label in LABELS}
    seen: set[tuple[str, ...]] = set()
    for score, review in _read(folder):
        start = tuple(normal(review).split()[:8])  # the same blurb in two lengths starts alike
        if abs(score) >= MARGIN and 30 <= len(review) <= 240 and start not in seen:
            seen.add(start)
            by_label[LABELS[score > 0]].append(review)
    sides: list[list[Row]] = []
    for label, reviews in by_label.items():
        reviews.sort(key=lambda review: mixed_order(normal(review)))
        sides.append([Row(PROMPT.format(review=review), label) for review in reviews[: HELD_OUT_EACH + TRAIN_EACH]])
    rows = [row for pair in zip(*sides, strict=True) for row in pair]  # in turn: any first 2N are balanced
    held_out, train = rows[: 2 * HELD_OUT_EACH], rows[2 * HELD_OUT_EACH :]
    return Split(tuple(sorted(train, key=lambda row: mixed_order(row.prompt))), tuple(held_out))


def _read(folder: Path) -> list[tuple[float, str]]:
    """(mean score, snippet) of every line of the ground-truth table in the fetched archive."""
    with tarfile.open(folder / "hutto_ICWSM_2014.tar.gz") as bundle:
        entry = bundle.getmember(MEMBER)
        source = bundle.extractfile(entry) if entry.isreg() and entry.size < 1 << 24 else None
        if source is None:
            raise ResourceError(f"The fetched review archive holds no plain file {MEMBER}.")
        text = io.TextIOWrapper(source, encoding="utf8", errors="replace").read()
    lines = (line.split("\t") for line in text.splitlines())
    return [(float(parts[1]), _tidy(parts[2])) for parts in lines if len(parts) == 3]


def _tidy(review: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(review).replace("''", '"')).strip()


def label_of(answer: str) -> str | None:
    """The first “positive” or “negative” in an answer, any case; None where there is neither (counted as wrong)."""
    found = re.search(r"\b(positive|negative)\b", answer.lower())
    return found.group(1) if found else None


def score(rows: Sequence[Row], answers: Sequence[str], base_answers: Sequence[str] | None = None) -> dict[str, float]:
    """Accuracy and macro-averaged F1, both in %. F1 of a label that is never said is 0, as in scikit-learn's
    `zero_division=0`.
    """
    if not rows:
        return {}
    pairs = [(row.completion, label_of(answer)) for row, answer in zip(rows, answers, strict=True)]
    f1s = []
    for label in LABELS:
        hit = sum(truth == said == label for truth, said in pairs)
        claimed, due = sum(said == label for _, said in pairs), sum(truth == label for truth, _ in pairs)
        f1s.append(2 * hit / (claimed + due) if claimed + due else 0.0)
    right = sum(truth == said for truth, said in pairs)
    return {"accuracy": 100 * right / len(pairs), "macro_f1": 100 * sum(f1s) / len(f1s)}


def majority(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """What one gets by always giving the label that is more common in `rows`."""
    if not rows:
        return {}
    labels = [row.completion for row in rows]
    common = max(LABELS, key=labels.count)
    return {"majority": score(rows, [common] * len(rows))}


TASK = Task(
    key="sentiment",
    title="Judge a film review",
    summary="Reads a line from a film review and answers with one word, positive or negative.",
    licence="MIT; snippets by their authors, fetched and not republished",
    source="Hutto and Gilbert, VADER, ICWSM 2014",
    resources=("vader-reviews",),
    load=load,
    metrics=(
        Metric("accuracy", "Accuracy", "%", "Of 100 reviews, how many get the label that readers gave."),
        Metric("macro_f1", "Macro F1", "%", "Accuracy that cannot be had by always saying the same word."),
    ),
    score=score,
    probes=(
        PROMPT.format(review="A warm, funny and beautifully acted story that stays with you for days."),
        PROMPT.format(review="The jokes are stale, the plot makes no sense and it goes on for two and a half hours."),
        PROMPT.format(review="I expected to be bored by a film about chess, and instead I could not look away."),
    ),
    max_new_tokens=6,
    scored_rows=64,
    max_length=128,
    row_tokens=106,
    shared_tokens=39,
    baselines=majority,
)
