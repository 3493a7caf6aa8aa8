"""What every tokenizer here can do, and the arithmetic of offsets that the byte-level ones share.

Offsets count characters (Unicode code points) of the text. A token that holds only some bytes of a character spans that
whole character; a token that stands for nothing in the text (the ▁ that SentencePiece puts before it) spans nothing.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

LONGEST_RUN = 4e8
"""The sum of squared run lengths (characters²) above which a byte-level text is refused: about a quarter of a second."""


class TextRefused(ValueError):
    """A text that this tokenizer does not take; the message is one sentence."""


class Piece(NamedTuple):
    """One entry of a vocabulary: as the vocabulary writes it, the bytes of text it stands for (None where it stands for
    no text of its own), and whether it is a special token."""

    text: str
    data: bytes | None
    special: bool = False


@dataclass(frozen=True)
class Tokens:
    """A text as tokens: ids, and for each its range [start, end) in characters."""

    ids: Sequence[int]
    starts: np.ndarray
    ends: np.ndarray


class Tokenizer(Protocol):
    """`family` is the algorithm: "byte-level BPE", "WordPiece", "SentencePiece BPE", "Unigram", "longest match", "bytes".
    `specials`: id → text of the tokens that stand for no ordinary text. Texts are well formed (see `well_formed`)."""

    @property
    def family(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def specials(self) -> Mapping[int, str]: ...

    def encode(self, text: str) -> Tokens:
        """The reference implementation's ids without added special tokens. Raises `TextRefused`."""
        ...

    def decode(self, ids: Sequence[int]) -> str: ...

    def piece(self, token: int) -> Piece:
        """What a token is. Raises `KeyError` where the vocabulary has none of that id."""
        ...


def well_formed(text: str) -> str:
    """The text with each half of a surrogate pair that stands alone replaced by U+FFFD: UTF-8 has no bytes for it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def spans(data: bytes, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranges in characters of tokens whose bytes, one after the other, are `data`; `lengths` in bytes, none 0."""
    if not len(lengths):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    raw = np.frombuffer(data, np.uint8)
    character = np.cumsum((raw & 0xC0) != 0x80) - 1  # of each byte
    ends = np.cumsum(lengths)
    return character[ends - lengths], character[ends - 1] + 1


def name_of(data: bytes) -> str:
    """Bytes as text, those that are no whole character as `<0xE2>`."""
    return data.decode("utf8", "lab-hex")


def _in_hex(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "".join(f"<0x{byte:02X}>" for byte in error.object[error.start : error.end]), error.end


codecs.register_error("lab-hex", _in_hex)


def is_partial(data: bytes | None) -> bool:
    """Whether these bytes are not whole characters."""
    try:
        (data or b"").decode()
    except UnicodeDecodeError:
        return True
    return False
