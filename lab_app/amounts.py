"""How amounts are said on the page: bytes, counts, operations, time, money, each in the unit that reads best."""

from __future__ import annotations


def size(amount: float) -> str:
    """Bytes in the unit that reads best: 9.8 MB, 1.24 GB."""
    for unit, power in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if abs(amount) >= power:
            return f"{amount / power:,.3g} {unit}" if abs(amount) < 1000 * power else f"{amount / power:,.0f} {unit}"
    return f"{amount:,.0f} bytes"


def number(amount: float) -> str:
    """A large number in words: 134.5 million, 2.7 billion."""
    for word, power in (("trillion", 1e12), ("billion", 1e9), ("million", 1e6)):
        if amount >= power:
            return f"{amount / power:,.4g} {word}"
    return f"{amount:,.0f}"


def operations(amount: float) -> str:
    for word, power in (("quadrillion ", 1e15), ("trillion ", 1e12), ("billion ", 1e9), ("million ", 1e6)):
        if amount >= power:
            return f"{amount / power:,.3g} {word}"
    return f"{amount:,.0f} "


def span_of_time(seconds: float) -> str:
    for unit, length in (("days", 86400.0), ("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= 2 * length or unit == "s" and seconds >= 0.1:
            return f"{seconds / length:,.3g} {unit}"
    return f"{seconds * 1000:.2g} ms"


def money(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= 0.01 else "< 0.01"
