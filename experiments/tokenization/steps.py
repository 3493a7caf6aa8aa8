"""How each algorithm arrives at its tokens: BPE's merges one by one, Unigram's best segmentations, WordPiece's longest match.

The last step of each is what the tokenizer itself gives for the word; a test holds them together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from experiments.tokenization.base import Tokenizer, name_of
from experiments.tokenization.fast import Fast
from experiments.tokenization.pieces import Pieces
from experiments.tokenization.ranks import Ranks, byte_of_letter

MOST_UNITS = 80


@dataclass(frozen=True)
class Step:
    """The units after a step; `at` is the one just made (None: none yet) and `note` how it came about."""

    units: tuple[str, ...]
    at: int | None = None
    note: str = ""


def explain(tokenizer: Tokenizer, word: str) -> list[Step]:
    """The steps for one word. Raises `ValueError` with one sentence: nothing to step through, too long."""
    if not word:
        raise ValueError("Type a word first.")
    if len(word.encode()) > MOST_UNITS:
        raise ValueError(f"At most {MOST_UNITS} bytes can be stepped through; take one word.")
    if isinstance(tokenizer, Ranks):
        return bytes_merged(word.encode(), lambda a, b: tokenizer.rank(a + b))
    if isinstance(tokenizer, Pieces) and tokenizer.family == "SentencePiece BPE":
        return _sentencepiece(tokenizer, word)
    if isinstance(tokenizer, Fast) and tokenizer.family == "byte-level BPE":
        ranks = merge_ranks(tokenizer)
        return bytes_merged(word.encode(), lambda a, b: ranks.get((a, b)))
    if isinstance(tokenizer, Fast) and tokenizer.family == "WordPiece":
        return wordpiece(tokenizer, word)
    raise ValueError(f"The algorithm of this tokenizer ({tokenizer.family}) has no steps to show.")


def merge_ranks(tokenizer: Fast) -> dict[tuple[bytes, bytes], int]:
    """The merges of a tokenizer.json in their order, as bytes."""
    table = byte_of_letter()

    def data(text: str) -> bytes:
        return bytes(table[c] for c in text)

    pairs = (m.split(" ") if isinstance(m, str) else m for m in tokenizer.made()["model"]["merges"])
    return {(data(a), data(b)): rank for rank, (a, b) in enumerate(pairs)}


def bytes_merged(word: bytes, rank: Callable[[bytes, bytes], int | None]) -> list[Step]:
    """Byte-level BPE: again and again the pair of lowest rank, the leftmost of equals."""
    units = [word[i : i + 1] for i in range(len(word))]
    steps = [Step(tuple(map(name_of, units)), None, "The bytes.")]
    while True:
        ranked = [(r, i) for i in range(len(units) - 1) if (r := rank(units[i], units[i + 1])) is not None]
        if not ranked:
            return steps
        best, i = min(ranked)
        units[i : i + 2] = [units[i] + units[i + 1]]
        steps.append(
            Step(
                tuple(map(name_of, units)),
                i,
                f"Of all neighbours these were learnt first to be one: merge number {best:,}.",
            )
        )


def _sentencepiece(tokenizer: Pieces, word: str) -> list[Step]:
    """SentencePiece BPE: again and again the pair whose merged piece has the highest score (the lowest rank)."""
    model = tokenizer.model
    units = list("\u2581" + word.replace(" ", "\u2581"))
    steps = [Step(tuple(units), None, "The characters, with the sign for a space before them.")]
    while True:
        found = []
        for i in range(len(units) - 1):
            token = model.piece_to_id(units[i] + units[i + 1])
            if not model.is_unknown(token):
                found.append((-model.get_score(token), i))
        if not found:
            break
        best, i = min(found)
        units[i : i + 2] = [units[i] + units[i + 1]]
        steps.append(
            Step(
                tuple(units),
                i,
                f"Of all neighbours these make the piece of the highest score: {-best:,.0f}.".replace("-", "\u2212"),
            )
        )
    final = [model.id_to_piece(t) for t in tokenizer.encode(word).ids]
    if final != units:
        steps.append(Step(tuple(final), None, "What has no piece of its own falls back to bytes."))
    return steps


def wordpiece(tokenizer: Fast, word: str) -> list[Step]:
    """WordPiece: from the left the longest entry that fits; a word that cannot be covered is unknown as a whole."""
    whole = tokenizer.encode(word)
    known = tokenizer.vocabulary
    prefix = str(tokenizer.made()["model"].get("continuing_subword_prefix") or "##")
    plain = "".join(tokenizer.piece(t).text.removeprefix(prefix) for t in whole.ids)
    if any(t in tokenizer.specials for t in whole.ids):
        return [
            Step((word,), None, "The word."),
            Step(("[UNK]",), 0, "Some part of it has no entry: the whole word is unknown."),
        ]
    steps, units, at = [Step((plain,), None, "The word, as the tokenizer normalizes it.")], [], 0
    while at < len(plain):
        tried = 0
        for end in range(len(plain), at, -1):
            tried += 1
            if (entry := (prefix if at else "") + plain[at:end]) in known:
                units.append(entry)
                at = end
                break
        else:
            return steps
        rest = (plain[at:],) if at < len(plain) else ()
        steps.append(
            Step((*units, *rest), len(units) - 1, f"The longest entry that fits: {tried - 1} longer ones were tried.")
        )
    return steps


def segmentations(tokenizer: Tokenizer, text: str, count: int = 8) -> dict[str, Any]:
    """Unigram: the `count` likeliest segmentations with their log-probabilities (Kudo 2018, section 3.2), and a sampled one.

    Raises `ValueError` for a tokenizer of another kind.
    """
    if not isinstance(tokenizer, Pieces) or tokenizer.family != "Unigram":
        raise ValueError("Only a Unigram tokenizer gives several segmentations their scores; choose AI21 J2.")
    if not text.strip() or len(text) > 200:
        raise ValueError("Type a few words, at most 200 characters.")
    model = tokenizer.model
    best = model.nbest_encode(text, nbest_size=count, out_type=int)
    sampled = model.encode(text, out_type=int, enable_sampling=True, alpha=0.2, nbest_size=-1)
    return {
        "best": [_scored(model, ids) for ids in best],
        "sampled": _scored(model, sampled),
    }


def _scored(model: Any, ids: list[int]) -> dict[str, Any]:
    return {"units": [model.id_to_piece(i) for i in ids], "score": round(sum(model.get_score(i) for i in ids), 3)}
