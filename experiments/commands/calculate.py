"""The calculator: parameters and memory of a method on an architecture, before anything is fetched."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from experiments.accounting import choice, trainable
from experiments.accounting.presets import PRESETS
from experiments.commands.train import pairs
from experiments.methods import find
from experiments.terminal import AsJson, app, sentences, show

ArchName = Annotated[str, typer.Option("--arch", help="A preset's key, or the path of a config.json.")]
Settings = Annotated[list[str] | None, typer.Option("--set", help="A setting of the method: rank=8.")]


@app.command()
def count(
    arch: ArchName = "smollm2-135m", method: str = "lora", settings: Settings = None, as_json: AsJson = False
) -> None:
    """How many parameters a method trains on an architecture, exactly."""
    with sentences(as_json):
        shape = choice.named_arch(arch)
        spec = choice.chosen(shape, method, pairs(settings))
        found = trainable.count(shape, find(spec.method), spec.settings)
    if as_json:
        print(json.dumps({"arch": arch, "method": spec.method, **asdict(found)}))
        return
    print(
        f"{find(spec.method).title} trains {found.trainable:,} of {found.total:,} parameters ({found.percent:.3g} %)."
    )
    print(f"{found.formula}\nIts file holds {found.adapter_bytes:,} bytes of numbers.")


@app.command()
def archs(as_json: AsJson = False) -> None:
    """The architectures that the calculator knows by name."""
    show([{"key": p.key, "title": p.title, "parameters": p.published} for p in PRESETS], as_json, "archs")
