"""The calculator: parameters and memory of a method on an architecture, before anything is fetched."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from experiments.accounting import choice, trainable
from experiments.accounting.memory import LEAVES_OUT, PARTS, predict
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
def memory(
    arch: ArchName = "smollm2-135m",
    method: str = "lora",
    settings: Settings = None,
    batch_size: Annotated[str, typer.Option(help="Rows a step.")] = "4",
    tokens: Annotated[str, typer.Option(help="Tokens a row.")] = "128",
    learnt: Annotated[str, typer.Option(help="Share of the tokens that is learnt, in percent.")] = "100",
    precision: Annotated[str, typer.Option(help="float32, bf16, int8, nf4 or nf4-double.")] = "float32",
    optimizer: Annotated[str, typer.Option(help="adamw, adamw-8bit, paged-adamw-8bit, sgd or adafactor.")] = "adamw",
    checkpointing: Annotated[bool, typer.Option(help="Keep only each block's input.")] = False,
    keeps_base: Annotated[bool, typer.Option(help="Copy what moves, as this lab does.")] = False,
    device: Annotated[str, typer.Option(help="cpu or gpu.")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """How many bytes a training step takes, by part."""
    with sentences(as_json):
        shape = choice.named_arch(arch)
        spec = choice.chosen(shape, method, pairs(settings))
        load = choice.loaded(
            shape, spec,
            {"batch_size": batch_size, "tokens": tokens, "learnt": learnt, "precision": precision, "optimizer": optimizer,
             "checkpointing": checkpointing, "keeps_base": keeps_base, "device": device},
        )  # fmt: skip
        found = predict(shape, find(spec.method), spec.settings, load)
    if as_json:
        print(json.dumps({"arch": arch, "method": spec.method, **asdict(found), "total": found.total}))
        return
    for part in PARTS:
        print(f"{getattr(found, part) / 1e6:12,.1f} MB  {part.replace('_', ' ')}")
    print(f"{found.total / 1e6:12,.1f} MB  in all\n{LEAVES_OUT}")


@app.command()
def archs(as_json: AsJson = False) -> None:
    """The architectures that the calculator knows by name."""
    show([{"key": p.key, "title": p.title, "parameters": p.published} for p in PRESETS], as_json, "archs")
