"""Which matrices an adapter stands at: the two settings that say so, and what they mean on an architecture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Annotated, Any

from pydantic import BeforeValidator

from experiments.accounting import Arch, Tensor, layer_indices, module_arch
from experiments.accounting.footprint import Footprint
from experiments.methods.base import Settings, knob

ALL = "all-linear"


def split(value: object) -> object:
    """A comma-separated line is a list of names."""
    return tuple(t.strip() for t in value.split(",") if t.strip()) if isinstance(value, str) else value


Names = Annotated[tuple[str, ...], BeforeValidator(split)]
LAYERS: Any = knob(
    "all", "Layers", max_length=200,
    low="“last 6” skips the backward pass below and is faster.",
    high="“all” learns most; “0-5,12” names single layers.",
)  # fmt: skip


class TargetSettings(Settings):
    """Target modules by name, and the layers they are taken from."""

    targets: Names = knob(
        (ALL,), "Target modules", min_length=1, max_length=32,
        low="Few, such as q_proj, v_proj: a fraction of the parameters, a quicker step, and it learns less in it.",
        high="all-linear adapts every matrix of a block.",
    )  # fmt: skip
    layers: str = LAYERS


def adapted(arch: Arch, settings: Any) -> list[Tensor]:
    """The matrices that get an adapter; with all layers also those of the same names outside blocks (BERT's pooler)."""
    return list(_adapted(arch, settings.targets, settings.layers))


@lru_cache(maxsize=64)
def _adapted(arch: Arch, targets: tuple[str, ...], layers: str) -> tuple[Tensor, ...]:
    where: set[int | None] = set(layer_indices(layers, arch.layers))
    if layers == "all":
        where.add(None)
    names = arch.linear_names if ALL in targets else targets
    return tuple(t for t in arch.matrices if t.module in names and t.layer in where)


@lru_cache(maxsize=64)
def _smallest(arch: Arch, targets: tuple[str, ...], layers: str) -> Tensor | None:
    """The matrix whose shorter side is the shortest of all."""
    return min(_adapted(arch, targets, layers), key=lambda t: min(t.shape), default=None)


def lowest(found: list[Tensor]) -> int:
    """The block that the backward pass ends in."""
    return min((t.layer for t in found if t.layer is not None), default=0)


def check_targets(arch: Arch, settings: Any) -> Iterator[tuple[str, str]]:
    """What of the two settings this architecture cannot take."""
    missing = [t for t in settings.targets if t not in (ALL, *arch.linear_names)]
    if missing:
        have = ", ".join(arch.linear_names)
        yield "targets", f"This model has no module {' or '.join(f'“{t[:40]}”' for t in missing)}; it has {have}."
    try:
        layer_indices(settings.layers, arch.layers)
    except ValueError as error:
        yield "layers", str(error)


def check_rank(arch: Arch, settings: Any) -> Iterator[tuple[str, str]]:
    """The same, and a rank that is larger than a matrix."""
    found = list(check_targets(arch, settings))
    yield from found
    smallest = None if found else _smallest(arch, settings.targets, settings.layers)
    if smallest and settings.rank > min(smallest.shape):
        size = " × ".join(map(str, smallest.shape))
        sentence = f"Rank {settings.rank} is larger than the matrix {smallest.module} ({size}) it would stand beside."
        yield "rank", sentence


Check = Callable[[Arch, Any], Iterator[tuple[str, str]]]


def plain(title: str, then: Check = check_rank) -> Check:
    """A check for adapters that PEFT puts on plain linear layers only, and then another."""

    def check(arch: Arch, settings: Any) -> Iterator[tuple[str, str]]:
        if arch.transposed:
            yield (
                "",
                f"{title} stands at plain linear layers; this model's matrices lie the other way round, as GPT-2's do.",
            )
        yield from then(arch, settings)

    return check


def multiplied_out(arch: Arch, settings: Any) -> Footprint:
    """Of adapters whose update is made whole in every step, which takes the room of the matrix itself."""
    found = adapted(arch, settings)
    return Footprint(lowest=lowest(found), beside=tuple(found), fixed=sum(t.size for t in found))


def module_names(model: Any, settings: Any) -> list[str]:
    """The full names of the modules that get an adapter."""
    return [t.name.removesuffix(".weight") for t in adapted(module_arch(model), settings)]


def by_matrix(arch: Arch, settings: Any, sizes: Any) -> str:
    """“30 · [a + b + …]”: what each matrix of a layer adds, by `sizes(tensor)`, and those outside of blocks."""
    found, layers = adapted(arch, settings), layer_indices(settings.layers, arch.layers)
    inside = [sizes(t) for t in found if t.layer == layers[0]]
    outside = "".join(f" + {sizes(t)}" for t in found if t.layer is None)
    return f"{len(layers)} · [{' + '.join(map(str, inside))}]{outside}"
