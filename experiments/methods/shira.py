"""SHiRA: a small random share of each matrix's entries moves and nothing else (Bhardwaj et al. 2024, section 3). By PEFT.

As many entries as LoRA of this rank has numbers, but the update's rank is not bounded by it. Each is saved with its row
and its column.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from experiments.accounting import Arch
from experiments.methods.base import Method, knob
from experiments.methods.targets import (
    TargetSettings,
    adapted,
    by_matrix,
    check_targets,
    module_names,
    multiplied_out,
    plain,
)


class ShiraSettings(TargetSettings):
    rank: int = knob(
        8, "As many as rank", ge=1, le=256,
        low="Few entries: one in some hundred.",
        high="More to train and to store, with two places for each; it cannot be more entries than the matrix has.",
    )  # fmt: skip
    places: int = knob(
        0, "Seed of places", ge=0, le=2**31 - 1,
        low="Which entries move is drawn from this seed.",
        high="Any is as good as another; two adapters of different places overlap little.",
    )  # fmt: skip


def count(arch: Arch, settings: ShiraSettings) -> int:
    return sum(settings.rank * sum(t.shape) for t in adapted(arch, settings))


def has_as_many(arch: Arch, settings: ShiraSettings) -> Iterator[tuple[str, str]]:
    found = list(check_targets(arch, settings))
    yield from found
    full = [] if found else [t for t in adapted(arch, settings) if settings.rank * sum(t.shape) > t.size]
    if full:
        size = " × ".join(map(str, full[0].shape))
        yield "rank", f"Rank {settings.rank} asks for more entries than the matrix {full[0].module} ({size}) has."


def attach(model: Any, settings: ShiraSettings, tokenizer: Any) -> Any:
    from peft import ShiraConfig, get_peft_model

    config = ShiraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        random_seed=settings.places,
        target_modules=module_names(model, settings),
    )
    return get_peft_model(model, config)


METHOD = Method(
    key="shira",
    title="SHiRA",
    summary="Moves a small random share of each matrix's own entries and leaves all others as they are.",
    paper="Bhardwaj et al. 2024, Sparse High Rank Adapters",
    paper_url="https://arxiv.org/abs/2406.13175",
    Settings=ShiraSettings,
    count=count,
    formula=lambda arch, settings: (
        "as many entries as LoRA has numbers: "
        f"{by_matrix(arch, settings, lambda t: f'{settings.rank} · {sum(t.shape)}')}"
    ),
    footprint=multiplied_out,
    stored=lambda arch, settings: 3 * count(arch, settings),
    check=plain("SHiRA", has_as_many),
    attach=attach,
    # The paper takes 5e-4 for language models (appendix H), PEFT's comparison of methods 3e-4. Lab Nano, held-out
    # loss: 2e-3 0.55, 6e-3 0.09, 1e-2 0.03, 2e-2 0.05.
    learning_rate=lambda settings: 1e-2,
    usual_rates=(3e-4, 2e-2),
    starts_at_base=lambda settings: True,
)
