"""Rewrite old English plainly: verses of the King James Version with the same verses in Basic English as references.

The three texts come as Python literals inside packages and are read with `ast`, never imported. The Basic English
file's own verse offsets drift (by up to 2,752 characters), so its text is cut again at its printed verse numbers, and a
pair is kept only where its words overlap those of a third, modern translation of the verse. Chapters, not verses, are
held out: neighbours tell each other's story.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.catalog.cache import Progress, ResourceError, cache_folder, make_once
from experiments.catalog.resources import find, get
from experiments.catalog.tasks.base import Metric, Row, Split, Task, mixed_order, normal

BUILT = "plain-english-v1"  # raise the number whenever the rules below change
SHORTEST, LONGEST = 40, 160  # characters of either side
OVERLAP = 0.2  # shared share of the words of four letters and more, Basic English against the modern translation
ALIKE = 0.6  # a training verse this like a held-out one (parallel passages in other books) is left out
TRAIN, HELD_OUT = 3000, 200
INSTRUCTION = "Rewrite in plain English: "


def load(progress: Progress | None = None) -> Split:
    """3,000 training and 200 held-out verses, from the lab's cache or built from the three texts (some ten seconds,
    once).
    """
    parts: dict[str, list[Row]] = {"train": [], "held_out": []}
    for row in rows(progress):
        parts[row["split"]].append(Row(row["prompt"], row["completion"]))
    return Split(tuple(parts["train"]), tuple(parts["held_out"]))


def rows(progress: Progress | None = None) -> list[dict[str, Any]]:
    """Each verse as {"id", "split", "prompt", "completion"}."""
    file = make_once(
        cache_folder() / "tasks" / f"{BUILT}.jsonl", lambda partial: _build(partial, progress), progress=progress
    )
    return [json.loads(line) for line in file.read_text(encoding="utf8").splitlines()]


def _build(partial: Path, progress: Progress | None) -> None:
    texts = {key: next(get(find(f"bible-{key}"), progress).path.glob("*.txt")) for key in ("kjv", "bbe", "web")}
    if progress:
        progress("pairing verses", 0, None)
    old, modern = _by_offsets(texts["kjv"]), _by_offsets(texts["web"])
    basic = _by_printed_numbers(texts["bbe"], sorted(old))
    pairs = {}
    for verse, text in old.items():
        prompt, reference = typed(re.sub(r"[\[\]]", "", text)), typed(basic.get(verse, ""))
        fits = all(
            SHORTEST <= len(side) <= LONGEST and not re.search(r"[\d\[\]]", side) for side in (prompt, reference)
        )
        if fits and _overlap(_long_words(modern.get(verse, "")), _long_words(reference)) >= OVERLAP:
            pairs[verse] = (prompt, reference)
    train, held_out = _divide(pairs)
    with partial.open("w", encoding="utf8") as file:
        for name, verses in (("train", train), ("held_out", held_out)):
            for verse in verses:
                prompt, reference = pairs[verse]
                row = {"id": verse, "split": name, "prompt": INSTRUCTION + prompt, "completion": reference}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _divide(pairs: Mapping[int, tuple[str, str]]) -> tuple[list[int], list[int]]:
    """Verse ids to train on and to hold out. An id is book·10⁶ + chapter·10³ + verse; every tenth chapter, by hash, is
    held out.
    """
    kept_back = {v for v in pairs if is_held_out(v // 1000)}
    order = sorted(pairs, key=lambda v: mixed_order(f"verse {v}"))
    once = {normal(pairs[verse][0]): verse for verse in reversed(order)}  # the same words in two places: the first
    held_out = [v for v in order if v in kept_back and once[normal(pairs[v][0])] == v][:HELD_OUT]
    shadows = [(_words(pairs[v][0]), _words(pairs[v][1])) for v in held_out]
    train: list[int] = []
    for verse in order:
        old, plain = (_words(side) for side in pairs[verse])
        if verse in kept_back or once[normal(pairs[verse][0])] != verse:
            continue
        if all(_overlap(old, a) < ALIKE and _overlap(plain, b) < ALIKE for a, b in shadows):
            train.append(verse)
        if len(train) == TRAIN:
            break
    return train, held_out


def is_held_out(chapter: int) -> bool:
    """Whether a chapter (book·10³ + chapter) is among the tenth whose verses are held out."""
    return int(mixed_order(f"chapter {chapter}")[:8], 16) % 10 == 0


def verses(path: Path) -> dict[int, str]:
    """Verse id → text of one of the fetched Bibles."""
    by_offsets = _by_offsets(path)
    return _by_printed_numbers(path, sorted(by_offsets)) if path.name == "bbe.txt" else by_offsets


def _literal(path: Path) -> tuple[str, dict[int, int], dict[int, int]]:
    """(whole text, verse id → start, verse id → end, in characters) of a text kept as a call with literal arguments."""
    for node in ast.parse(path.read_text(encoding="utf8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            long = [a for a in node.value.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            tables = [ast.literal_eval(a) for a in node.value.args if isinstance(a, ast.Dict) and len(a.keys) > 20_000]
            if long and len(tables) >= 2:
                return str(long[0].value), tables[0], tables[1]
    raise ResourceError(
        f"{path.name} does not hold a text with verse offsets; delete it from the cache and fetch it again."
    )


def _by_offsets(path: Path) -> dict[int, str]:
    text, start, end = _literal(path)
    return {verse: " ".join(text[start[verse] : end[verse]].split()) for verse in start}


def _by_printed_numbers(path: Path, verses: Sequence[int]) -> dict[int, str]:
    """Verses cut at their printed numbers (“4. ”). A verse whose number is not among the next four is passed over."""
    text = _literal(path)[0]
    marks = [(m.start(), m.end(), int(m.group(1))) for m in re.finditer(r"(?<!\S)(\d{1,3})\. ", text)]
    placed: dict[int, tuple[int, int]] = {}
    at = 0
    for verse in verses:
        hit = next((k for k in range(at, min(at + 4, len(marks))) if marks[k][2] == verse % 1000), None)
        if hit is not None:
            placed[verse] = marks[hit][:2]
            at = hit + 1
    starts = [start for start, _ in placed.values()]
    stops = {start: stop for start, stop in zip(starts, [*starts[1:], len(text)], strict=True)}
    return {verse: " ".join(text[begin : stops[start]].split()) for verse, (start, begin) in placed.items()}


def typed(text: str) -> str:
    """Apostrophes and ligatures as one types them: the two translations were typeset differently."""
    return text.replace("’", "'").replace("æ", "ae").replace("Æ", "Ae")


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+", text.lower()))


def _long_words(text: str) -> frozenset[str]:
    return frozenset(word for word in _words(text) if len(word) >= 4)


def _overlap(a: frozenset[str], b: frozenset[str]) -> float:
    """Jaccard index of two sets of words, 0 to 1."""
    return len(a & b) / len(a | b) if a or b else 0.0


def score(rows: Sequence[Row], answers: Sequence[str], base_answers: Sequence[str] | None = None) -> dict[str, float]:
    """Corpus chrF (Popović 2015) and BLEU (Papineni et al. 2002) against the references, 0–100, by sacrebleu with its
    defaults.
    """
    if not rows:
        return {}
    import logging

    from sacrebleu.metrics import BLEU, CHRF

    logging.getLogger("sacrebleu").setLevel(logging.ERROR)  # it warns of answers that look tokenized: a model's may
    said, references = [answer.strip() for answer in answers], [[row.completion for row in rows]]
    return {
        "chrf": float(CHRF().corpus_score(said, references).score),
        "bleu": float(BLEU().corpus_score(said, references).score),
    }


def echo(rows: Sequence[Row]) -> dict[str, dict[str, float]]:
    """The score of giving the verse back unchanged: much of it is plain already, so a model has to beat this."""
    return {"echo": score(rows, [row.prompt.removeprefix(INSTRUCTION) for row in rows])} if rows else {}


TASK = Task(
    key="plain-english",
    title="Rewrite old English plainly",
    summary="Turns a verse of the King James Version (1611) into Basic English, a vocabulary of about a thousand words.",
    licence="public domain (US)",
    source="King James Version, Bible in Basic English (Hooke, 1949); World English Bible to check the pairs",
    resources=("bible-kjv", "bible-bbe", "bible-web"),
    load=load,
    metrics=(
        Metric("chrf", "chrF", "0–100", "How many runs of letters the answer shares with a human's plain version."),
        Metric("bleu", "BLEU", "0–100", "How many runs of words the answer shares with a human's plain version."),
    ),
    score=score,
    probes=(
        INSTRUCTION + "And it came to pass that the servant hearkened not unto the voice of his master.",
        INSTRUCTION + "Wherefore art thou wroth, and why is thy countenance fallen this day?",
        INSTRUCTION + "He that tilleth his field shall be satisfied with bread, but the slothful shall hunger.",
    ),
    max_new_tokens=56,
    scored_rows=32,
    max_length=160,
    row_tokens=129,
    shared_tokens=31,
    baselines=echo,
)
