"""SentencePiece models, by the sentencepiece library: BPE with byte fallback (Mistral v1), Unigram (AI21 J2).

Kudo and Richardson 2018, SentencePiece; Kudo 2018, Subword Regularization, for Unigram's scores and samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from experiments.tokenization.base import Piece, Tokens


class Pieces:
    """A SentencePiece model file; `family` says which algorithm it holds."""

    def __init__(self, file: Path, family: str):
        from sentencepiece import SentencePieceProcessor

        self.family = family
        self.model = SentencePieceProcessor(model_file=str(file))
        self.size = self.model.vocab_size()
        ids = range(self.size)
        self._bytes = {i: int(self.model.id_to_piece(i)[3:5], 16) for i in ids if self.model.is_byte(i)}
        self.specials = {
            i: self.model.id_to_piece(i) for i in ids if self.model.is_control(i) or self.model.is_unknown(i)
        }

    def encode(self, text: str) -> Tokens:
        found = self.model.encode(text, return_type="offset_mapping")
        ids = found["ids"]
        ranges = np.array(found["offsets"], np.int64).reshape(-1, 2)
        starts, ends = ranges[:, 0], ranges[:, 1].copy()
        for i in reversed(range(len(ids) - 1)):  # of the bytes of a character only the last one is given its place
            if ids[i] in self._bytes and starts[i] == ends[i]:
                ends[i] = ends[i + 1]
        return Tokens(ids, starts, ends)

    def decode(self, ids: Sequence[int]) -> str:
        return self.model.decode(list(ids))

    def piece(self, token: int) -> Piece:
        if not 0 <= token < self.size:
            raise KeyError(token)
        text = self.model.id_to_piece(token)
        if token in self._bytes:
            return Piece(text, bytes([self._bytes[token]]))
        if token in self.specials:
            return Piece(text, None, True)
        return Piece(text, text.replace("\u2581", " ").encode())
