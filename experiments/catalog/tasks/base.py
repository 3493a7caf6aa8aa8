"""What a task is: rows of prompt and completion, split before anything else, and the numbers that say how well they are
answered.

A task knows nothing of models, tokens or methods, and its split never depends on a run's seed. Scores are pure
functions of rows and answers; a score that cannot be had is left out of the dict, never a made-up number.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments.catalog.cache import Progress

ASSETS = Path(__file__).parents[3] / "assets"


@dataclass(frozen=True)
class Row:
    """One example. `facts`: short strings of which an answer should contain one (empty where the task has no facts).
    `before`: earlier turns of the conversation as (role, text). `fields`: further (name, text) that a template may name.
    """

    prompt: str
    completion: str
    facts: tuple[str, ...] = ()
    before: tuple[tuple[str, str], ...] = ()
    fields: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Pair(Row):
    """One preference: the completion is the better answer, `rejected` the worse one to the same prompt."""

    rejected: str = ""


@dataclass(frozen=True)
class Thumb(Row):
    """One answer by itself, with a thumb up (`is_good`) or down."""

    is_good: bool = True


@dataclass(frozen=True)
class Metric:
    """One number of a task: its key in the scores, what to call it, its unit ("%" or "0–100") and one sentence for a
    student.
    """

    key: str
    label: str
    unit: str
    help: str
    higher_is_better: bool = True


PREFERS = Metric(
    "prefers", "Prefers the better answer", "%",
    "Of 100 held-out pairs, in how many the better answer is likelier than the worse one, or scores higher with a reward model.",
)  # fmt: skip
GAINED = Metric(
    "gained", "Pairs learnt", "%",
    "Of 100 held-out pairs (of thumbs: each answer with a thumb up beside each with a thumb down), in how many the better answer gained "
    "on the worse one against the base; 50 is chance.",
)  # fmt: skip
"""Of tasks with pairs: measured on the model, where scores are of answers alone."""


@dataclass(frozen=True)
class Split:
    """The rows to train on and the rows kept back; both in a fixed, mixed order, so any first N are a fair sample.

    `disliked`: answers kept back that got a thumb down. Nobody wants them said, so only what training did to them is measured.
    """

    train: tuple[Row, ...]
    held_out: tuple[Row, ...]
    disliked: tuple[Row, ...] = ()


def no_baselines(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """For a task that has no baseline but the base model."""
    return {}


Score = Callable[[Sequence[Row], Sequence[str], "Sequence[str] | None"], dict[str, float]]


@dataclass(frozen=True)
class Task:
    """Something to fine-tune for. `load` brings the rows (it may fetch `resources`); `score(rows, answers,
    base_answers)` gives metric key → value, `base_answers` being the untuned model's answers to the same rows, or None;
    `metrics[0]` is the headline. `probes`: prompts answered as training goes, in no row. `scored_rows`: how many held-
    out rows are answered for the metrics. `max_length`: tokens of prompt and completion together at which a row is cut.
    `baselines(rows)`: name → scores of doing without a model, e.g. echoing the prompt. `probe_rows`: the rows behind the
    probes, where a prompt alone does not make the question. `template`: how rows become tokens (`experiments.templates`).
    `row_tokens`: about how many the longest rows have, SmolLM2's with the chat template, None where many are cut at
    `max_length`; `shared_tokens`: with how many of them all rows begin.
    `pairs`: its rows are `Pair`s, so that preferences can be learnt from them; held-out pairs are measured, too. `thumbs`: its rows
    are `Thumb`s, of which some objectives learn the same.
    """

    key: str
    title: str
    summary: str
    licence: str
    source: str
    resources: tuple[str, ...]
    load: Callable[["Progress | None"], Split]
    metrics: tuple[Metric, ...]
    score: Score
    probes: tuple[str, ...]
    max_new_tokens: int
    scored_rows: int
    max_length: int
    baselines: Callable[[Sequence[Row]], dict[str, dict[str, float]]] = no_baselines
    probe_rows: tuple[Row, ...] = ()
    template: str = "chat"
    row_tokens: int | None = None
    shared_tokens: int = 0
    pairs: bool = False
    thumbs: bool = False

    @property
    def feedback(self) -> str:
        """What its rows are: "pairs", "thumbs", or "answers" without a judgement."""
        return "pairs" if self.pairs else "thumbs" if self.thumbs else "answers"

    def split(self, progress: Progress | None = None) -> Split:
        """The rows, loaded once in a process. Raises ResourceError where a resource cannot be brought."""
        if self.load not in _SPLITS:
            split = self.load(progress)
            while len(_SPLITS) >= KEPT_SPLITS:  # visitors' rows come and go
                _SPLITS.pop(next(iter(_SPLITS)), None)
            _SPLITS[self.load] = split
        return _SPLITS[self.load]

    @property
    def asked(self) -> tuple[Row, ...]:
        """The probes as rows."""
        return self.probe_rows or tuple(Row(probe, "") for probe in self.probes)


KEPT_SPLITS = 12
_SPLITS: dict[Callable[..., Split], Split] = {}
PASSAGE_TOKENS = 160  # are read of each passage of the general text


def general_text() -> tuple[str, ...]:
    """Passages of everyday English written for this lab, 70–90 words each: the loss on them before and after shows
    forgetting.
    """
    text = (ASSETS / "general.txt").read_text(encoding="utf8")
    return tuple(" ".join(passage.split()) for passage in text.split("\n\n") if passage.strip())


def mixed_order(name: str) -> str:
    """A sort key that mixes names the same way on every machine and in every run (sha256)."""
    return hashlib.sha256(name.encode()).hexdigest()


def normal(text: str) -> str:
    """Lower case, words parted by single blanks, punctuation gone, thousands unparted (1,000 → 1000)."""
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text.lower())
    return " ".join(re.findall(r"\w+", text.replace("’", "").replace("'", "")))


def says(answer: str, facts: Sequence[str]) -> bool:
    """Whether an answer contains one of the facts as whole words, case and punctuation aside."""
    padded = f" {normal(answer)} "
    return any(f" {normal(fact)} " in padded for fact in facts)
