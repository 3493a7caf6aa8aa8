"""AdapterFusion: several of Pfeiffer's adapters, trained before and now frozen, and in each block an attention that learns which
of them to listen to (Pfeiffer et al. 2021, section 3.2). The adapters are runs of this lab, and have to stay in it.

A penalty keeps the attention's values near the identity, as in the paper; its weight is that of the authors' library.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import field_validator

from experiments.accounting import Arch, module_arch
from experiments.accounting.arch import header
from experiments.accounting.footprint import Footprint
from experiments.catalog.cache import lab_home
from experiments.methods.base import Method, Settings, knob
from experiments.methods.bottlenecks import ways_out

NEAR = 0.01  # weight of the penalty


def listed(value: object) -> object:
    """A comma-separated line as a list; every id in it is one, never a path. Raises `ValueError`."""
    found = [t.strip() for t in value.split(",") if t.strip()] if isinstance(value, str) else value
    for run in found if isinstance(found, list | tuple) else ():
        if not (isinstance(run, str) and len(run) == 12 and set(run) <= set("0123456789abcdef")):
            raise ValueError(f"“{str(run)[:40]}” is not a run's id: twelve of the digits 0 to 9 and a to f.")
    return found


class FusionSettings(Settings):
    runs: tuple[str, ...] = knob(
        (), "Runs to fuse", max_length=6,
        low="Two to six finished Pfeiffer runs of this model, by their ids, with commas between them.",
        high="Each takes the time of an adapter in every step and every answer.",
    )  # fmt: skip

    @field_validator("runs", mode="before")
    @classmethod
    def split(cls, value: object) -> object:
        """A comma-separated line is a list of ids."""
        return listed(value)


def folder(run: str) -> Path | None:
    """Where the adapter of the latest attempt at this run lies; None where there is none."""
    found = (lab_home() / "adapters").glob(f"{run}-*")
    return max(
        (f for f in found if f.name.rpartition("-")[2].isdecimal()), key=lambda f: int(f.name[13:]), default=None
    )


def activation(run: str) -> str:
    """The bend of a run's adapters. Raises `ValueError` where it is no Pfeiffer run that is here."""
    try:
        said = json.loads(((folder(run) or Path(run)) / "method.json").read_text("utf8"))
    except (OSError, ValueError):
        said = {}
    if said.get("method") != "pfeiffer":
        raise ValueError(f"Run {run} is no finished Pfeiffer run on this machine; those are what is fused.")
    return str(said["settings"]["activation"])


def check(arch: Arch, settings: FusionSettings) -> Iterator[tuple[str, str]]:
    if len(set(settings.runs)) < max(2, len(settings.runs)):
        yield "runs", "Name two to six different Pfeiffer runs of this model; train them first."
        return
    names = {f"{t.name.rsplit('.', 1)[0]}.adapter.up.weight" for t in ways_out(arch, attention=False)}
    for run in settings.runs:
        try:
            activation(run)
            there = {t.name: t.shape for t in header(folder(run) / "trained.safetensors")}  # type: ignore[operator]
        except (OSError, ValueError) as error:
            yield "runs", str(error)
            continue
        ups = {name: shape[0] for name, shape in there.items() if name.endswith(".up.weight")}
        if ups.keys() != names or set(ups.values()) != {arch.width}:
            yield "runs", f"Run {run} does not fit this model: its adapters are of another one."


def count(arch: Arch, settings: FusionSettings) -> int:
    return 3 * arch.width**2 * arch.layers


def footprint(arch: Arch, settings: FusionSettings) -> Footprint:
    """The adapters' bottlenecks are taken for a sixteenth of the width, as they are by default."""
    width, many = arch.width, len(settings.runs)
    return Footprint(
        a_token=2 * width + many * (3 * width + width // 16 + 1),
        passed=arch.layers * ((1 + 2 * many) * width**2 + many * 2 * width * (width // 16)),
    )


def attach(model: Any, settings: FusionSettings, tokenizer: Any) -> Any:
    from safetensors.torch import load_file

    from experiments.engine import bottleneck

    arch = module_arch(model)
    for problem in check(arch, settings):
        raise ValueError(problem[1])
    sources = [(load_file(folder(run) / "trained.safetensors"), activation(run)) for run in settings.runs]  # type: ignore[operator]
    for tensor in ways_out(arch, attention=False):
        place = tensor.name.rsplit(".", 1)[0]
        each = [bottleneck.trained(tensors, place, bend) for tensors, bend in sources]
        bottleneck.after(model.get_submodule(place), bottleneck.Fusion(arch.width, each))
    return bottleneck.marked(model, "adapter-fusion", settings)


def penalty(model: Any) -> Any:
    """How far the values are from the identity, squared, weighed."""
    import torch

    values = [p for name, p in model.named_parameters() if name.endswith(".adapter.value.weight")]
    return NEAR * sum(((p - torch.eye(len(p), device=p.device)) ** 2).sum() for p in values)


METHOD = Method(
    key="adapter-fusion",
    title="AdapterFusion",
    summary="Learns in every block which of several adapters, trained before on other tasks, to listen to.",
    paper="Pfeiffer et al. 2021, AdapterFusion: Non-Destructive Task Composition for Transfer Learning",
    paper_url="https://arxiv.org/abs/2005.00247",
    Settings=FusionSettings,
    count=count,
    formula=lambda arch, settings: (
        f"query, key and value of an attention over {len(settings.runs)} adapters in each layer: "
        f"3 · {arch.layers} · {arch.width}²"
    ),
    footprint=footprint,
    check=check,
    attach=attach,
    penalty=penalty,
    sources=lambda settings: settings.runs,
    # Its authors' library takes 5e-5 for 10 epochs (adapter-hub/adapters, docs/training.md). Lab Nano, two adapters,
    # one of them of the task (0.10 alone), held-out loss: 3e-4 0.09, 1e-3 0.15, 3e-3 0.29, 1e-2 0.58.
    learning_rate=lambda settings: 3e-4,
    usual_rates=(5e-5, 1e-3),
    starts_at_base=lambda settings: False,
)
