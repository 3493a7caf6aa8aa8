"""The calculator's answers: what a visitor chose in, sentences and numbers out. Pure, quick, and no widget.

`answer(state, speeds)` never raises for what was typed: each problem is one sentence under the name of its field, and then
nothing else is answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from experiments import methods
from experiments.accounting import Arch, answers, choice, compute, memory, presets, trainable
from experiments.methods import Method, Settings
from experiments.specs import SpecError
from lab_app import calculator_costs as costs
from lab_app import calculator_form as form
from lab_app.amounts import size
from lab_app.tables import share, shown

RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 192, 256)


def answer(state: Mapping[str, Any], speeds: Sequence[costs.Speed] = ()) -> dict[str, Any]:
    """Everything about a state; `speeds` is what was measured of training on this machine."""
    state = form.tidy(state)
    common = {"form": form.fields(state), "state": state}
    try:
        arch = architecture(state)
        spec = choice.chosen(arch, str(state["method"]), state["settings"])
        machine = form.machine(state)
        load = form.load(state, arch, spec, machine)
        plan = form.plan(state)
    except SpecError as error:
        return {**common, "problems": {p.field: p.sentence for p in error.problems}}
    method, settings = methods.find(spec.method), spec.settings
    count = trainable.count(arch, method, settings)
    found = memory.predict(arch, method, settings, load)
    step = compute.flops(arch, method, settings, load)
    every = costs.every(arch, spec, load)
    return {
        **common,
        "problems": {},
        "title": title(state, arch, method),
        "count": {**asdict(count), "method": method.key, "sentences": counted(arch, method, count)},
        "picture": picture(arch, method, settings),
        "curve": curve(arch, method, settings),
        "memory": costs.memory_parts(found),
        "bars": costs.bars(every),
        "machines": costs.fits(found, machine, load, step, plan),
        "predicted": costs.PREDICTED,
        "sources": costs.sources(),
        "time": costs.timed(arch, method, settings, step, machine, load, plan, speeds),
        "tokens": costs.reading(arch, state, load, plan),
        "known": costs.known_models(state["arch"]),
        "quick": costs.quick(arch, method, settings, count, load, plan),
        "methods": table(every),
    }  # fmt: skip


def architecture(state: Mapping[str, Any]) -> Arch:
    """Of a preset, a pasted config, or numbers of one's own. Raises `SpecError`."""
    if state["arch"] == form.PASTED:
        return choice.text_arch(state["config"])
    if state["arch"] == form.OWN:
        return form.own_arch(state["shape"])
    return choice.preset_arch(state["arch"])


def title(state: Mapping[str, Any], arch: Arch, method: Method) -> str:
    names = {form.PASTED: f"this {arch.family}", form.OWN: "a Llama of your own"}
    return f"{method.title} on {names.get(state['arch']) or presets.find(state['arch']).title}"


# Parameters


def counted(arch: Arch, method: Method, count: trainable.Count) -> list[str]:
    lines = [f"Trains {count.trainable:,} of {count.total:,} parameters ({share(count.trainable, count.total)} %)."]
    if count.formula:
        text = method.title + ": " + count.formula
        lines.append(f"{text} = {count.trainable:,}." if ":" in count.formula else f"{text}.")
    if count.adapter_bytes:
        lines.append(
            f"Its file holds {size(count.adapter_bytes)} of numbers ({count.adapter_bytes:,} bytes in float32)."
        )
    heads = f"{arch.heads} heads" + (f", {arch.kv_heads} for keys and values" if arch.kv_heads != arch.heads else "")
    lines.append(
        f"{arch.layers} layers, {arch.width:,} wide, {heads}, {arch.vocab:,} words, {arch.max_length:,} tokens of context."
    )
    return lines


def picture(arch: Arch, method: Method, settings: Settings) -> dict[str, Any] | None:
    """W' = W + (alpha / rank) · B A for each kind of matrix with thin ones beside it, by its sides."""
    foot = method.footprint(arch, settings)
    if not foot.beside or not foot.rank:  # what stands beside is not always two thin matrices
        return None
    first = [t for t in foot.beside if t.layer == foot.beside[0].layer]
    sides = [{"name": t.module, "out": arch.fan_out(t), "in": arch.fan_in(t)} for t in first]
    alpha = getattr(settings, "alpha", 1.0)
    scale = alpha / foot.rank**0.5 if getattr(settings, "rslora", False) else alpha / foot.rank
    return {
        "rank": foot.rank,
        "alpha": alpha,
        "scale": round(scale, 4),
        "root": getattr(settings, "rslora", False),
        "matrices": sides,
    }


def curve(arch: Arch, method: Method, settings: Settings) -> dict[str, Any] | None:
    """Trainable parameters against the setting that makes the method larger."""
    name = answers.SIZES.get(method.key)
    if name is None:
        return None
    highest = answers.highest_value(arch, method, settings, name)
    own = getattr(settings, name)
    values = sorted({v for v in (*RANKS, own) if v <= highest})
    points = [[v, method.count(arch, settings.model_copy(update={name: v}))] for v in values]
    return {"method": method.key, "name": method.Settings.model_fields[name].title, "own": own, "points": points}


# All methods


def table(every: Sequence[costs.Costs]) -> dict[str, Any]:
    """Every method on this architecture; numbers beside their texts, so that the page can sort and export them."""
    columns = [
        ("method", "", False), ("trainable", "parameters", True), ("share", "%", True), ("adapter", "MB", True),
        ("memory", "MB", True), ("step", "10⁹ operations", True),
    ]  # fmt: skip
    rows = []
    for row in every:
        method, count, values = row.method, row.count, list[float | None]([None] * 5)
        if count is not None:
            room = row.memory.total / 1e6 if row.memory else None
            values = [count.trainable, count.percent, count.adapter_bytes / 1e6, room, row.operations / 1e9]
        digits = (0, 4, 2, 0, 1)
        cells = [shown(value, d) for value, d in zip(values, digits, strict=True)]
        rows.append(
            {
                "method": method.key,
                "cells": [method.title + (" (as set)" if row.own else ""), *cells],
                "values": [method.title, *values],
            }
        )
    labels = [{"label": label, "unit": unit, "number": is_number} for label, unit, is_number in columns]
    return {"caption": "All methods on this model, others with their defaults", "columns": labels, "rows": rows}
