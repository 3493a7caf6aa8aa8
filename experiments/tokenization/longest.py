"""RWKV World: the longest entry of the vocabulary that fits, again and again, over the text's bytes. No merges, no pattern.

The same ids as the trie of the `rwkv` package; every single byte is an entry, so something always fits.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.tokenization.base import Piece, Tokens, name_of, spans


class LongestMatch:
    """The vocabulary file has lines of id, a Python literal (text or bytes), and its length in bytes."""

    family = "longest match"

    def __init__(self, file: Path):
        self._bytes: dict[int, bytes] = {}
        for line in file.read_text("utf8").splitlines():
            number, literal, length = line.split(" ", 1)[0], *line.split(" ", 1)[1].rsplit(" ", 1)
            found = ast.literal_eval(literal)
            self._bytes[int(number)] = data = found.encode() if isinstance(found, str) else found
            if len(data) != int(length):
                raise ValueError(f"Line {number} of {file.name} has another length than it says.")
        self._ids = {data: token for token, data in self._bytes.items()}
        self._begins = {data[:n] for data in self._ids for n in range(1, len(data))}
        self.size = max(self._bytes) + 1
        self.specials: dict[int, str] = {}

    def encode(self, text: str) -> Tokens:
        data = text.encode()
        ids, lengths = self._match(data)
        return Tokens(ids, *spans(data, np.array(lengths, np.int64)))

    def _match(self, data: bytes) -> tuple[list[int], list[int]]:
        known, begins, end = self._ids, self._begins, len(data)
        ids, lengths, at = [], [], 0
        while at < end:
            stop = at + 1
            taken, token = stop, known[data[at:stop]]
            while stop < end and data[at:stop] in begins:
                stop += 1
                longer = known.get(data[at:stop])
                if longer is not None:
                    taken, token = stop, longer
            ids.append(token)
            lengths.append(taken - at)
            at = taken
        return ids, lengths

    def decode(self, ids: Sequence[int]) -> str:
        return b"".join(map(self._bytes.__getitem__, ids)).decode("utf8", "replace")

    def piece(self, token: int) -> Piece:
        data = self._bytes[token]
        return Piece(name_of(data), data)
