"""What a tokenizer makes of a text: how many tokens, how long they are, and whether the text comes back.

Measures: characters a token and bytes a token (more is denser), tokens a word (fertility; Rust et al. 2021, section 3.2).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.tokenization.base import Tokenizer, Tokens, well_formed


@dataclass(frozen=True)
class Report:
    """`text` is what was tokenized: the text as typed, lone halves of surrogate pairs replaced. `lost`: what does not come
    back, one sentence, empty where everything does."""

    text: str
    tokens: Tokens
    lost: str

    @property
    def round_trip(self) -> bool:
        return not self.lost

    @property
    def count(self) -> int:
        return len(self.tokens.ids)

    def measures(self) -> dict[str, float | None]:
        """None where there is nothing to divide by."""
        words = len(self.text.split())
        return {
            "characters": len(self.text),
            "bytes": len(self.text.encode()),
            "characters_per_token": _ratio(len(self.text), self.count),
            "bytes_per_token": _ratio(len(self.text.encode()), self.count),
            "tokens_per_word": _ratio(self.count, words),
        }


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def report(tokenizer: Tokenizer, typed: str) -> Report:
    """Tokenize, and try the way back. Raises `TextRefused` where the tokenizer does not take the text."""
    text = well_formed(typed)
    tokens = tokenizer.encode(text)
    back = tokenizer.decode(tokens.ids)
    if text != typed and back == text:
        return Report(text, tokens, "Half of a surrogate pair stood alone; no bytes stand for it, so it became \ufffd.")
    return Report(text, tokens, "" if back == text else lost(text, back))


CHANGES = (
    ("spaces are not kept as they were", lambda t: " ".join(t.split())),
    ("capital letters became small", lambda t: t.lower()),
    ("characters were composed or replaced by their plain form", lambda t: unicodedata.normalize("NFKC", t)),
    ("accents were dropped", lambda t: "".join(c for c in unicodedata.normalize("NFD", t) if not unicodedata.combining(c))),
    ("spaces were put in or left out", lambda t: re.sub(r"\s", "", t)),
    ("control characters were dropped", lambda t: "".join(c for c in t if unicodedata.category(c) not in ("Cc", "Cf"))),
)  # fmt: skip


def lost(text: str, back: str) -> str:
    """How the text that came back differs, in one sentence."""
    named, a, b = [], text, back
    for name, same in CHANGES:
        next_a, next_b = same(a), same(b)
        if _distance(next_a, next_b) < _distance(a, b):
            named.append(name)
            a, b = next_a, next_b
        if a == b:
            return f"Not exact: {', '.join(named)}."
    at = next((i for i, (x, y) in enumerate(zip(text, back, strict=False)) if x != y), min(len(text), len(back)))
    cause = f"{', '.join(named)}; besides, " if named else ""
    return f"Not exact: {cause}from character {at:,} on it reads “{_shown(back[at : at + 12])}”, not “{_shown(text[at : at + 12])}”."


def _distance(a: str, b: str) -> int:
    """Roughly how unlike two texts are: positions that differ, and the difference in length."""
    return 2 * abs(len(a) - len(b)) + sum(x != y for x, y in zip(a[:4000], b[:4000], strict=False)) + (a != b)


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else "\u2423" if c.isspace() else "\ufffd" for c in text)


def table(tokenizer: Tokenizer, found: Report, limit: int | None = None) -> dict[str, Any]:
    """The tokens as lists of equal length: `ids`, `tokens` (as the vocabulary writes them, bytes as text), `offsets`."""
    ids: Sequence[int] = found.tokens.ids[:limit]
    texts = {token: tokenizer.piece(token).text for token in set(ids)}
    return {
        "ids": list(ids),
        "tokens": [texts[token] for token in ids],
        "offsets": [
            [int(a), int(b)] for a, b in zip(found.tokens.starts[:limit], found.tokens.ends[:limit], strict=True)
        ],
    }
