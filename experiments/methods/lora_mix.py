"""A mix: LoRA runs of one base put together into one adapter that is kept as a run of its own, nothing trained (`engine.mixing`).

Its runs are recorded in its settings, and in `mix.json` beside the adapter, which is a plain LoRA of PEFT's. It is made of finished runs of
this lab, so it is not among the methods that a form offers: the Mix fold and `merge --keep` make it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationInfo, field_validator

from experiments.accounting import Arch, module_arch
from experiments.methods.adapter_fusion import folder, listed
from experiments.methods.base import Method, Settings, knob

MOST_MIXED = 4
Way = Literal["stack", "linear", "ties", "dare", "dare-ties"]
HOW: dict[str, Any] = {
    "low": "stack adds the updates. linear adds the thin matrices themselves, which also multiplies those of one run with the "
    "other's.",
    "high": "ties keeps the largest entries and, of those that disagree, the sign with more weight (arXiv 2306.01708); "
    "dare drops entries at random and scales up the rest (arXiv 2311.03099).",
}


class Mixture(Settings):
    """Which runs are put together, with which weights; not how."""

    runs: tuple[str, ...] = knob((), "Tuned runs", low="Two to four finished LoRA runs of one base.")
    shares: tuple[float, ...] = knob(
        (), "Weights", max_length=4,
        low="A number for each run, such as 1, 0.5; left empty, 1 for each.",
        high="0 leaves a run out, below 0 takes what it learnt away.",
    )  # fmt: skip
    density: float = knob(
        0.5, "Density", gt=0, le=1,
        low="ties and dare: the share of entries that is kept; few keep apart what the runs learnt.",
        high="1 keeps all of them.",
    )  # fmt: skip
    seed: int = knob(0, "Seed", ge=0, le=2**31 - 1, high="dare draws what it drops from it.")

    @field_validator("runs", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        """A comma-separated line is a list of ids."""
        return listed(value)

    @field_validator("runs")
    @classmethod
    def _different_runs(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError("Name each run once.")
        if not 2 <= len(value) <= MOST_MIXED:
            raise ValueError("Name two to four runs.")
        return value

    @field_validator("shares", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """A comma-separated line is a list of numbers."""
        if not isinstance(value, str):
            return value
        try:
            return tuple(float(t) for t in value.split(",") if t.strip())
        except ValueError:
            raise ValueError("Weights are numbers with commas between them, such as 1, 0.5.") from None

    @field_validator("shares")
    @classmethod
    def _one_for_each_run(cls, value: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        if value and len(value) != len(info.data.get("runs", ())):
            raise ValueError("Name a weight for each of the runs, or none at all.")
        if any(abs(share) > 4 for share in value):
            raise ValueError("A weight lies between -4 and 4.")
        if value and not any(value):
            raise ValueError("With every weight at 0 nothing is left: that is the base.")
        return value


class MixSettings(Mixture):
    how: Way = knob("stack", "How", **HOW)


def check(arch: Arch, settings: MixSettings) -> Iterator[tuple[str, str]]:
    """Whether each run is a plain LoRA that is here; of which base they are is known to who asks (`access`)."""
    ranks = set()
    if len(settings.runs) < 2:
        yield "runs", "Name two to four finished LoRA runs of one base."
    for run in settings.runs:
        said = _config(run)
        if said.get("peft_type") != "LORA" or said.get("use_dora") or said.get("bias") != "none":
            yield "runs", f"Run {run} is no plain LoRA on this machine: without DoRA, without biases."
        ranks.add(said.get("r"))
    if len(ranks) > 1 and settings.how != "stack":
        yield "how", "LoRAs of different ranks can be stacked only; the other ways want one rank."


def _config(run: str) -> dict[str, Any]:
    """What PEFT wrote of a run's adapter; nothing where there is none."""
    try:
        return json.loads(((folder(run) or Path(run)) / "adapter_config.json").read_text("utf8"))
    except (OSError, ValueError):
        return {}


def attach(model: Any, settings: MixSettings, tokenizer: Any) -> Any:
    from experiments.engine import mixing

    for _, sentence in check(module_arch(model), settings):
        raise ValueError(sentence)
    return mixing.kept(model, {run: folder(run) for run in settings.runs}, settings)  # type: ignore[misc]


METHOD = Method(
    key="lora-mix",
    title="Mix",
    summary="Trains nothing: LoRA runs of one base, put together into one adapter.",
    paper="Yadav et al. 2023, TIES-Merging: Resolving Interference When Merging Models",
    paper_url="https://arxiv.org/abs/2306.01708",
    Settings=MixSettings,
    count=lambda arch, settings: 0,
    formula=lambda arch, settings: f"nothing; {len(settings.runs)} LoRA runs are put together",
    check=check,
    attach=attach,
    sources=lambda settings: settings.runs,
    learning_rate=lambda settings: 0.0,
    usual_rates=(0.0, 0.0),
    starts_at_base=lambda settings: False,
    trains=False,
)
