"""Search a vocabulary: by text, regular expression or id; the longest entries, the strangest, those that never come back."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterator
from typing import Any

from experiments.tokenization.base import Piece, Tokenizer, is_partial

MOST = 60
PATIENCE_S = 1.5
KINDS = ("text", "regex", "id", "longest", "strangest", "never")


def search(tokenizer: Tokenizer, kind: str, query: str = "") -> dict[str, Any]:
    """`{"entries": [{"id", "text", "bytes"}], "found": how many, "of": the size, "note"}`. Raises `ValueError`."""
    if kind == "id":
        return _answer(tokenizer, [(i, tokenizer.piece(i)) for i in _ids(tokenizer, query)])
    if kind == "regex":
        return _regex(tokenizer, query)
    if kind == "longest":
        return _answer(tokenizer, sorted(entries(tokenizer), key=lambda e: (-len(e[1].data or b""), e[0])))
    if kind == "strangest":
        return _answer(tokenizer, sorted(entries(tokenizer), key=lambda e: (-strangeness(e[1]), e[0])))
    if kind == "never":
        return never_back(tokenizer)
    if not query:
        raise ValueError("Type what to look for.")
    return _answer(tokenizer, [e for e in entries(tokenizer) if query in e[1].text or query in _plain(e[1])])


def entries(tokenizer: Tokenizer) -> Iterator[tuple[int, Piece]]:
    """Every entry with its id; ids that stand for nothing are left out."""
    for token in range(tokenizer.size):
        try:
            yield token, tokenizer.piece(token)
        except KeyError:
            continue


def strangeness(piece: Piece) -> int:
    """How many kinds of characters (Unicode general categories) an entry mixes, the rare ones counted twice."""
    kinds = {unicodedata.category(c) for c in _plain(piece)}
    return len(kinds) + len(kinds & {"Cc", "Cf", "Co", "Cn", "So", "Sk", "Lm", "Me"})


def never_back(tokenizer: Tokenizer) -> dict[str, Any]:
    """Entries whose own text is tokenized otherwise: the model reads them at most inside something longer."""
    until, lost, seen = time.monotonic() + 6, [], 0
    for token, piece in entries(tokenizer):
        seen += 1
        if time.monotonic() > until:
            break
        if piece.special or piece.data is None or is_partial(piece.data):
            continue
        if list(tokenizer.encode(piece.data.decode()).ids) != [token]:
            lost.append((token, piece))
    note = "" if seen >= tokenizer.size - 1 else f"Looked at the first {seen:,} entries."
    return _answer(tokenizer, lost) | {"note": note or "Entries that are part of a character are left out."}


def _regex(tokenizer: Tokenizer, query: str) -> dict[str, Any]:
    import regex

    try:
        pattern = regex.compile(query)
    except (regex.error, RecursionError, OverflowError) as error:
        raise ValueError(f"This is no regular expression: {str(error)[:100]}.") from None
    if not query:
        raise ValueError("Type a regular expression.")
    until, found = time.monotonic() + PATIENCE_S, []
    for token, piece in entries(tokenizer):
        left = until - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            if pattern.search(_plain(piece), timeout=left):
                found.append((token, piece))
        except TimeoutError:
            raise ValueError("This regular expression takes too long; make it simpler.") from None
    return _answer(tokenizer, found)


def _ids(tokenizer: Tokenizer, query: str) -> list[int]:
    try:
        wanted = [int(part) for part in query.replace(",", " ").split()][:MOST]
    except ValueError:
        raise ValueError("An id is a whole number; several are parted by spaces.") from None
    if not wanted:
        raise ValueError("Type an id.")
    for token in wanted:
        try:
            tokenizer.piece(token)
        except KeyError:
            raise ValueError(f"There is no id {token}; the vocabulary has {tokenizer.size:,}.") from None
    return wanted


def _plain(piece: Piece) -> str:
    return piece.text if piece.data is None else piece.data.decode("utf8", "replace")


def _answer(tokenizer: Tokenizer, found: list[tuple[int, Piece]]) -> dict[str, Any]:
    rows = [{"id": i, "text": p.text, "bytes": (p.data or b"").hex(" ").upper()[:120]} for i, p in found[:MOST]]
    return {"entries": rows, "found": len(found), "of": tokenizer.size, "note": ""}
