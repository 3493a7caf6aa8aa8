"""Byte-level BPE from a table of ranks, by tiktoken: GPT-2, cl100k, o200k, Qwen.

A pattern cuts the text, and within each cut the pair of lowest rank is merged until none is left (Sennrich et al. 2016;
on bytes: Radford et al. 2019, section 2.2). Rank and id are the same number.
"""

from __future__ import annotations

import base64
import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.tokenization.base import LONGEST_RUN, Piece, TextRefused, Tokens, name_of, spans

SIGNS = (r"[^\W\d_]", r"\d", r"\s", r"[^\w\s]", "_")
LONG = 1000  # characters; a shorter run adds next to nothing
RUNS = re.compile("|".join(f"{sign}{{{LONG},}}" for sign in SIGNS))
ALIKE = re.compile("|".join(f"{sign}+" for sign in SIGNS))


class Ranks:
    """`nfc`: the text is composed first (Unicode NFC), as Qwen's own tokenizer does."""

    family = "byte-level BPE"

    def __init__(self, ranks: dict[bytes, int], pattern: str, specials: Mapping[str, int], nfc: bool = False):
        import tiktoken

        self.nfc = nfc
        self.specials = {token: text for text, token in specials.items()}
        self.size = max([*ranks.values(), *specials.values()]) + 1
        self._lengths = np.zeros(self.size, np.int64)
        self._lengths[list(ranks.values())] = [len(data) for data in ranks]
        self._lengths[list(self.specials)] = [len(text.encode()) for text in specials]
        self._encoding = tiktoken.Encoding("lab", pat_str=pattern, mergeable_ranks=ranks, special_tokens=dict(specials))
        self._encoding._mergeable_ranks = {}  # only pickling reads it; o200k's takes 30 MB, and Rust has its own copies

    def encode(self, text: str) -> Tokens:
        refuse_long_runs(text)
        plain = unicodedata.normalize("NFC", text) if self.nfc else text
        ids = self._encoding.encode(plain, allowed_special="all", disallowed_special=())
        starts, ends = spans(plain.encode(), self._lengths[ids] if ids else np.zeros(0, np.int64))
        if plain != text:
            first, last = composed_from(text)
            starts, ends = first[starts], last[ends - 1]
        return Tokens(ids, starts, ends)

    def decode(self, ids: Sequence[int]) -> str:
        return self._encoding.decode_bytes(ids).decode("utf8", "replace")

    def rank(self, data: bytes) -> int | None:
        """How early these bytes were merged into one token; None where they are none."""
        try:
            found = self._encoding.encode_single_token(data)
        except KeyError:
            return None
        return None if found in self.specials else found

    def piece(self, token: int) -> Piece:
        if token in self.specials:
            return Piece(self.specials[token], None, True)
        if not 0 <= token < self.size:
            raise KeyError(token)
        data = self._encoding.decode_single_token_bytes(token)
        return Piece(name_of(data), data)


def refuse_long_runs(text: str) -> None:
    """Raise `TextRefused` where the reference implementation, whose time grows with the square of a run of letters, of
    digits, of signs or of spaces, would take seconds to hours."""
    half = LONG // 2  # a long run holds at least one of these stretches whole
    if not any(ALIKE.fullmatch(text, at, at + half) for at in range(0, len(text) - half + 1, half)):
        return
    if sum((run.end() - run.start()) ** 2 for run in RUNS.finditer(text)) > LONGEST_RUN:
        longest = max(len(run[0]) for run in RUNS.finditer(text))
        raise TextRefused(
            f"This text has a run of {longest:,} characters that nothing divides, and the time this tokenizer needs grows "
            "with the square of it; put in spaces."
        )


def composed_from(text: str) -> tuple[np.ndarray, np.ndarray]:
    """For each character of the text's NFC form, the range of the text that it was made from: two arrays."""
    groups: list[str] = []
    for c in text:
        if groups and (
            unicodedata.combining(c)
            or unicodedata.normalize("NFC", groups[-1] + c)
            != unicodedata.normalize("NFC", groups[-1]) + unicodedata.normalize("NFC", c)
        ):
            groups[-1] += c
        else:
            groups.append(c)
    sizes = np.array([len(g) for g in groups])
    made = [1 if len(g) == 1 and g.isascii() else len(unicodedata.normalize("NFC", g)) for g in groups]
    ends = np.cumsum(sizes)
    return np.repeat(ends - sizes, made), np.repeat(ends, made)


def read_ranks(file: Path) -> dict[bytes, int]:
    """A `.tiktoken` file: base64 of the bytes, a space, the rank."""
    lines = (line.split() for line in file.read_bytes().splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def read_gpt2(encoder: Path) -> dict[bytes, int]:
    """GPT-2's `encoder.json`, whose ids are the ranks: each byte is written as a printable character."""
    table = byte_of_letter()
    found = json.loads(encoder.read_text("utf8"))
    return {bytes(table[c] for c in token): rank for token, rank in found.items() if token != "<|endoftext|>"}


def byte_of_letter() -> dict[str, int]:
    """GPT-2's way to write any byte as a printable character, read backwards."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    odd = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + i): b for i, b in enumerate(odd)}
