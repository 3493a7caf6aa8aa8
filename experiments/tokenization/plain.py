"""ByT5: no vocabulary at all, a token is a byte plus three (Xue et al. 2022, ByT5, section 3.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from experiments.tokenization.base import Piece, Tokens, name_of, spans

FIRST = 3
NAMES = ("<pad>", "</s>", "<unk>")
EXTRA = 125  # sentinels of the span-corruption task


class Bytes:
    """384 ids: three special ones, 256 bytes, 125 sentinels."""

    family = "bytes"

    def __init__(self) -> None:
        self.size = FIRST + 256 + EXTRA
        self.specials = dict(enumerate(NAMES)) | {FIRST + 256 + i: f"<extra_id_{i}>" for i in range(EXTRA)}
        self._ids = {text: token for token, text in self.specials.items()}
        self._split = re.compile(rf"(\s*(?:{'|'.join(NAMES)})\s*|<extra_id_\d+>)")

    def encode(self, text: str) -> Tokens:
        ids: list[int] = []
        lengths: list[int] = []
        for part in self._split.split(text):
            token = self._ids.get(part.strip())
            data = part.encode()
            ids += [b + FIRST for b in data] if token is None else [token]
            lengths += [1] * len(data) if token is None else [len(data)]
        return Tokens(ids, *spans(text.encode(), np.array(lengths, np.int64)))

    def decode(self, ids: Sequence[int]) -> str:
        parts = (self.specials[i].encode() if i in self.specials else bytes([i - FIRST]) for i in ids)
        return b"".join(parts).decode("utf8", "ignore")

    def piece(self, token: int) -> Piece:
        if token in self.specials:
            return Piece(self.specials[token], None, True)
        if not FIRST <= token < FIRST + 256:
            raise KeyError(token)
        data = bytes([token - FIRST])
        return Piece(name_of(data), data)
