"""Text out of an R lazy-load database (`Rdata.rdx`, `Rdata.rdb`), read as data: nothing in it is run.

Knows the few types such a table of texts is made of (R Internals, 1.8 Serialization Formats) and refuses every other.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from pathlib import Path
from typing import Any

SYMBOL, PAIRS, INTEGERS, REALS, STRINGS, LIST, CHARS, RAW_PROMISE = 1, 2, 13, 14, 16, 19, 9, 238
NOTHING = (254, 253, 242, 241, 251)  # NULL, the environments, the missing argument


class _Reader:
    """A serialized R value in big-endian XDR, from its first byte on."""

    def __init__(self, data: bytes):
        if data[:2] != b"X\n":
            raise ValueError("This is no R table in the XDR format.")
        self.data, self.at = data, 2
        self.symbols: list[Any] = []
        version, _, _ = self.integer(), self.integer(), self.integer()
        if version == 3:  # names its encoding
            length = self.integer()
            self.at += length

    def integer(self) -> int:
        return int(self.numbers("i", 1)[0])

    def numbers(self, code: str, count: int) -> tuple[Any, ...]:
        form = f">{count}{code}"
        found = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return found

    def value(self) -> Any:
        flags = self.integer()
        kind = flags & 255
        if kind in NOTHING:
            return None
        if kind == 255:  # a symbol met before
            return self.symbols[(flags >> 8) - 1]
        if kind == SYMBOL:
            self.symbols.append(self.value())
            return self.symbols[-1]
        if kind == CHARS:
            return self._text()
        if kind == PAIRS:
            return self._pairs(flags)
        found = self._vector(kind)
        names = dict(self.value() or []).get("names") if flags & 0x200 else None
        return dict(zip(names, found, strict=True)) if names and len(names) == len(found) else found

    def _text(self) -> str | None:
        length = self.integer()
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at].decode("utf8", "replace")

    def _pairs(self, flags: int) -> list[tuple[Any, Any]]:
        if flags & 0x200:
            self.value()
        key = self.value() if flags & 0x400 else None
        return [(key, self.value()), *(self.value() or [])]

    def _vector(self, kind: int) -> Any:
        if kind in (10, INTEGERS):
            return list(self.numbers("i", self.integer()))
        if kind == REALS:
            return list(self.numbers("d", self.integer()))
        if kind in (STRINGS, LIST):
            return [self.value() for _ in range(self.integer())]
        if kind == RAW_PROMISE:
            self.value()
            state = self.value()
            self.value()
            return state
        raise ValueError(f"This R table holds a value of type {kind}, which the lab does not read.")


def _unpacked(block: bytes) -> bytes:
    """A block of the database: four bytes of length, then gzip, or a letter that names another compression."""
    if block[4:5] == b"Z":
        form = [{"id": lzma.FILTER_LZMA2, "preset": 6}]
        return lzma.LZMADecompressor(format=lzma.FORMAT_RAW, filters=form).decompress(block[5:])
    return bz2.decompress(block[5:]) if block[4:5] == b"2" else zlib.decompress(block[4:])


def read(folder: Path) -> dict[str, Any]:
    """Name → value of every variable in `folder`. Raises ValueError, KeyError or struct.error where it is no such database."""
    index = _Reader(zlib.decompress((folder / "Rdata.rdx").read_bytes(), 47)).value()
    data = (folder / "Rdata.rdb").read_bytes()
    return {
        name: _Reader(_unpacked(data[start : start + length])).value()
        for name, (start, length) in index["variables"].items()
    }
