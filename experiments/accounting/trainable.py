"""How many numbers a method trains on an architecture, of how many, and how large what it leaves behind is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from experiments import methods
from experiments.accounting.arch import Arch
from experiments.methods import Method, Settings

BYTES = 4  # what is trained is kept in float32


@dataclass(frozen=True)
class Count:
    """`total` is the model's own parameters, `with_method` those and what the method adds. `adapter_bytes` is the
    size of the saved numbers; the file's header of names adds some kilobytes."""

    trainable: int
    total: int
    with_method: int
    percent: float
    adapter_bytes: int
    formula: str


def count(arch: Arch, method: Method, settings: Settings) -> Count:
    """Exact, from the method's own closed form."""
    trainable = method.count(arch, settings)
    added = trainable - method.footprint(arch, settings).moved_size
    return Count(
        trainable=trainable,
        total=arch.total,
        with_method=arch.total + added,
        percent=100 * trainable / arch.total,
        adapter_bytes=BYTES * (method.stored or method.count)(arch, settings),
        formula=method.formula(arch, settings),
    )


@lru_cache(maxsize=64)
def every_method(arch: Arch) -> list[tuple[Method, Settings, Count | None]]:
    """Each method with its default settings; None where this architecture cannot take it."""
    rows: list[tuple[Method, Settings, Count | None]] = []
    for method in methods.METHODS:
        settings = method.Settings()
        fits = not any(method.check(arch, settings))
        rows.append((method, settings, count(arch, method, settings) if fits else None))
    return rows
