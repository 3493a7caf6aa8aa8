"""The fetched texts as documents, cleaned, without doubles, split by hash before anything reads them.

Whole chapters, scenes and conversations are held out, never lines of them. Of the Bibles those chapters are held out
that the task `plain-english` holds out, so that no reference of that task is ever read. Brings the texts through
`catalog/resources.py`; the generated text is `stories.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from experiments.catalog import resources
from experiments.catalog.cache import Progress
from experiments.catalog.tasks import plain_english
from experiments.catalog.tasks.base import mixed_order, normal
from experiments.pretraining import rdata

HELD_OUT_ONE_IN = {"chitchat": 25, "shakespeare": 20, "austen": 20}  # documents; of the Bibles one chapter in ten
CHITCHAT_CHARACTERS = 6_000_000
UNWANTED = re.compile(
    r"https?:|www\.|@|\d{3}[- .]?\d{4}|\b(fuck|shit|bitch|ass|asshole|dick|sex|sexy|porn|cunt|nude|nigga|nigger|fag|rape|slut|whore)\w*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Text:
    """One document: its source, and its turns (one for prose, several for a conversation)."""

    source: str
    turns: tuple[str, ...]

    @property
    def characters(self) -> int:
        return sum(map(len, self.turns))


@dataclass(frozen=True)
class Texts:
    """The documents of all sources, to read and to be examined on."""

    train: tuple[Text, ...]
    held_out: tuple[Text, ...]


def load(sources: Iterable[str], progress: Progress | None = None) -> Texts:
    """The fetched texts of these names. Raises ResourceError where one cannot be brought."""
    train: list[Text] = []
    held_out: list[Text] = []
    for source in sources:
        folder = resources.get(resources.find(source), progress).path
        for name, turns in SOURCES[source](folder):
            (held_out if _is_held_out(source, name) else train).append(Text(source, turns))
    back = list(_once(held_out, set()))
    known = {normal(" ".join(text.turns)) for text in back}
    return Texts(tuple(_once(train, known)), tuple(back))


def _is_held_out(source: str, name: str) -> bool:
    if source.startswith("bible"):
        return plain_english.is_held_out(int(name))
    return int(mixed_order(f"{source} {name}")[:8], 16) % HELD_OUT_ONE_IN[source] == 0


def _once(texts: Iterable[Text], known: set[str]) -> Iterator[Text]:
    """Each document whose words have not been seen."""
    for text in texts:
        words = normal(" ".join(text.turns))
        if words and words not in known:
            known.add(words)
            yield text


def _bible(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(chapter, text) of a Bible: the chapter's verses one after another, without numbers."""
    chapters: dict[int, list[str]] = {}
    for verse, text in plain_english.verses(next(folder.glob("*.txt"))).items():
        clean = re.sub(r"\s+", " ", re.sub(r"[\[\]¶]|\b\d+\b", "", text.replace("’", "'"))).strip()
        if clean:
            chapters.setdefault(verse // 1000, []).append(clean)
    for chapter, found in chapters.items():
        yield str(chapter), (" ".join(found),)


def _shakespeare(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(play and scene, text): NAME on a line of its own, then what is said; directions left out."""
    for file in sorted(folder.glob("*.md")):
        for i, scene in enumerate(re.split(r"\n### .*\n", file.read_text(encoding="utf8"))[1:]):
            lines = [line.strip() for line in scene.splitlines() if not line.startswith(("#", "_"))]
            text = re.sub(r"_[^_]*_", "", "\n".join(line.strip("*") for line in lines))
            text = re.sub(r"[ \t]+", " ", re.sub(r"\n{3,}", "\n\n", text)).strip()
            if len(text) > 200:
                yield f"{file.stem} {i}", (text,)


def _austen(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(novel and chapter, text), lines joined to paragraphs."""
    for novel, value in rdata.read(folder).items():
        if not isinstance(value, list):
            continue
        whole = "\n".join(line or "" for line in value)
        for i, chapter in enumerate(re.split(r"\n(?:CHAPTER|Chapter) [IVXLC\d]+\.?\n", whole)[1:]):
            paragraphs = [" ".join(p.split()) for p in chapter.split("\n\n")]
            text = "\n".join(p for p in paragraphs if len(p) > 20).replace("_", "")
            if len(text) > 500:
                yield f"{novel} {i}", (text,)


def _chitchat(folder: Path) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(conversation, turns) of the clean conversations of four turns and more, the best rated first, up to a size."""
    raw = json.loads((folder / "chitchat.json").read_text(encoding="utf8"))
    total = 0
    for name in sorted(raw, key=lambda key: (-sum(raw[key].get("ratings", {}).values()), key)):
        turns = tuple(" ".join(m["text"].strip() for m in turn) for turn in raw[name]["messages"])
        turns = tuple(" ".join(t.split()) for t in turns)
        long_enough = len(turns) >= 4 and all(turns) and max(map(len, turns)) < 600
        if long_enough and not any(UNWANTED.search(t) or not t.isascii() for t in turns):
            total += sum(map(len, turns))
            yield name, turns
        if total > CHITCHAT_CHARACTERS:
            return


SOURCES: dict[str, Callable[[Path], Iterator[tuple[str, tuple[str, ...]]]]] = {
    "bible-bbe": _bible,
    "bible-web": _bible,
    "austen": _austen,
    "chitchat": _chitchat,
    "shakespeare": _shakespeare,
}
