"""Any `tokenizer.json`, by the tokenizers library: the models' own, BERT, a hub id, an uploaded file, one trained here.

Padding and truncation that a file asks for are switched off. Nothing in the file is run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.tokenization.base import Piece, Tokens, name_of, spans
from experiments.tokenization.ranks import byte_of_letter

FAMILIES = {"WordPiece": "WordPiece", "Unigram": "Unigram", "WordLevel": "whole words"}
BYTE = re.compile(r"<0x([0-9A-F]{2})>")
MOST_ENTRIES = 1_000_000


class Unreadable(ValueError):
    """A file that is no tokenizer; the message is one sentence."""


class Fast:
    """`source`: the text of a tokenizer.json. Raises `Unreadable`."""

    def __init__(self, source: str):
        self._tokenizer = _read(source)
        made = json.loads(source)
        parts = json.dumps([made.get("pre_tokenizer"), made.get("decoder")])
        self._is_bytes = '"ByteLevel"' in parts
        self._is_exact = self._is_bytes and not made.get("normalizer")
        self._is_spaced = '"Metaspace"' in parts or "\u2581" in parts
        self._prefix = str(made["model"].get("continuing_subword_prefix") or "")
        self.family = _family(made["model"], self._is_bytes)
        self.specials = {t: a.content for t, a in self._tokenizer.get_added_tokens_decoder().items() if a.special}
        self._added = {t: a.content for t, a in self._tokenizer.get_added_tokens_decoder().items()}
        self._letters = byte_of_letter() if self._is_bytes else {}
        vocabulary = self.vocabulary
        self.size = max(vocabulary.values(), default=-1) + 1
        self._lengths = np.zeros(self.size, np.int64)
        for text, token in vocabulary.items():
            self._lengths[token] = len(self._data(token, text))

    def made(self) -> dict[str, Any]:
        """The file as JSON, made anew each time: kept, it would take several times the room of the tokenizer."""
        return json.loads(self._tokenizer.to_str())

    @property
    def vocabulary(self) -> Mapping[str, int]:
        """Entries as they are written → ids."""
        return self._tokenizer.get_vocab(True)

    def _data(self, token: int, text: str) -> bytes:
        letters = self._letters
        if token in self._added:
            return self._added[token].encode()
        if letters:
            return bytes(letters[c] for c in text) if all(c in letters for c in text) else text.encode()
        if found := BYTE.fullmatch(text):
            return bytes([int(found[1], 16)])
        if self._prefix and text.startswith(self._prefix):
            text = text[len(self._prefix) :]
        return (text.replace("\u2581", " ") if self._is_spaced else text).encode()

    def encode(self, text: str) -> Tokens:
        if self._is_exact:  # the batch calls leave the other threads running, and the fast one skips the offsets
            (found,) = self._tokenizer.encode_batch_fast([text], add_special_tokens=False)
            data, lengths = text.encode(), self._lengths[found.ids] if found.ids else np.zeros(0, np.int64)
            if lengths.sum() == len(data) and (lengths > 0).all():
                return Tokens(found.ids, *spans(data, lengths))
        (found,) = self._tokenizer.encode_batch([text], add_special_tokens=False)
        ranges = np.array(found.offsets, np.int64).reshape(-1, 2)
        return Tokens(found.ids, ranges[:, 0], ranges[:, 1])

    def decode(self, ids: Sequence[int]) -> str:
        if self._is_bytes:
            data = {token: self._data(token, self._text(token)) for token in set(ids)}
            return b"".join(map(data.__getitem__, ids)).decode("utf8", "replace")
        return self._tokenizer.decode(list(ids), skip_special_tokens=False)

    def piece(self, token: int) -> Piece:
        text = self._text(token)
        if token in self.specials:
            return Piece(text, None, True)
        data = self._data(token, text)
        return Piece(name_of(data) if self._is_bytes else text, data)

    def _text(self, token: int) -> str:
        text = self._tokenizer.id_to_token(token) if 0 <= token < self.size else None
        if text is None:
            raise KeyError(token)
        return text


def _family(model: Mapping[str, Any], is_bytes: bool) -> str:
    kind = model.get("type", "BPE")
    if kind != "BPE":
        return FAMILIES.get(kind, kind)
    if is_bytes:
        return "byte-level BPE"
    return "SentencePiece BPE" if model.get("byte_fallback") else "BPE"


def _read(source: str) -> Any:
    from tokenizers import Tokenizer

    try:
        made = json.loads(source)
    except (ValueError, RecursionError):
        raise Unreadable("This file is no JSON; a tokenizer.json is wanted.") from None
    if not isinstance(made, dict) or not isinstance(made.get("model"), dict):
        raise Unreadable("This JSON describes no tokenizer: it has no “model”; a tokenizer.json is wanted.")
    if len(made["model"].get("vocab") or ()) > MOST_ENTRIES:
        raise Unreadable(f"This vocabulary has more than {MOST_ENTRIES:,} entries.")
    try:
        tokenizer = Tokenizer.from_str(source)
        tokenizer.encode_batch(["A test: 1, 2.\n\u00e9"], add_special_tokens=False)
    except BaseException as error:  # a panic of the library is no Exception
        if isinstance(error, KeyboardInterrupt | SystemExit):
            raise
        reason = " ".join(str(error).split())[:120]
        raise Unreadable(f"This tokenizer.json cannot be used: {reason}.") from None
    if max(tokenizer.get_vocab(True).values(), default=0) > MOST_ENTRIES:
        raise Unreadable(f"This vocabulary has an id above {MOST_ENTRIES:,}.")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
