"""The calculator's answers: what a visitor chose in, sentences and numbers out. Pure, quick, and no widget.

`answer(state, speed)` never raises for what was typed: each problem is one sentence under the name of its field, and then
nothing else is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from experiments import methods
from experiments.accounting import Arch, answers, choice, compute, machines, memory, presets, tokens, trainable
from experiments.accounting.memory import Load
from experiments.methods import Method, Settings
from experiments.specs import RunSpec, SpecError
from lab_app import calculator_form as form
from lab_app.tables import share, shown

Usual = list[tuple[Method, Settings, trainable.Count | None]]
RANKS = (1, 2, 4, 8, 16, 32, 64, 128, 192, 256)


def answer(state: Mapping[str, Any], speed: float | None = None) -> dict[str, Any]:
    """Everything about a state; `speed` is what this machine computes in training, in operations a second."""
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
    usual_methods = trainable.every_method(arch)
    return {
        **common,
        "problems": {},
        "title": title(state, arch, method),
        "count": {**asdict(count), "method": method.key, "sentences": counted(arch, method, count)},
        "picture": picture(arch, method, settings),
        "curve": curve(arch, method, settings),
        "memory": memory_parts(found),
        "bars": bars(arch, spec, load, usual_methods),
        "machines": fits(found, machine, load, step, plan),
        "time": timed(arch, method, settings, step, machine, load, plan, speed),
        "tokens": reading(arch, state, load, plan),
        "quick": quick(arch, method, settings, count, load, plan),
        "methods": table(arch, spec, load, usual_methods),
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
    if not foot.beside:
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


# Memory


NAMES = {
    "weights": "weights", "trained": "adapter, or copies of what moves", "gradients": "gradients", "optimizer": "optimizer states",
    "activations": "activations", "logits": "logits in float32", "waste": "unused room between tensors",
    "framework": "the framework itself",
}  # fmt: skip


def memory_parts(found: memory.Memory) -> dict[str, Any]:
    """Each part in bytes, the sum of what is there at once, and what the estimate leaves out."""
    parts = [{"key": key, "name": name, "bytes": getattr(found, key)} for key, name in NAMES.items()]
    note = f"The most a step holds: {size(found.total)}."
    if found.not_at_once:
        note += (
            f" Gradients appear while activations go, so {size(-found.not_at_once)} of them are never there at once."
        )
    return {"parts": parts, "total": found.total, "note": note, "out": memory.LEAVES_OUT}


def at_peak(found: memory.Memory) -> list[int]:
    """Bytes of each part at the highest moment, where gradients may stand in the room of what is gone already."""
    now = {key: getattr(found, key) for key in NAMES}
    now["gradients"] = max(found.gradients + found.not_at_once, 0)
    return list(now.values())


def bars(arch: Arch, spec: RunSpec, load: Load, usual_methods: Usual) -> dict[str, Any]:
    """One stacked bar a method: the chosen one as it is set, the others as they come."""
    rows = []
    for method, settings, count in usual_methods:
        if count and method.trains:
            own = method.key == spec.method
            if not own and memory.problems(arch, method, settings, load):
                continue
            found = memory.predict(arch, method, spec.settings if own else settings, load)
            rows.append(
                {"method": method.key, "name": method.title, "own": own, "total": found.total, "parts": at_peak(found)}
            )
    return {"names": list(NAMES.values()), "keys": list(NAMES), "rows": rows}


def fits(
    found: memory.Memory, chosen: machines.Machine, load: Load, step: compute.Flops, plan: form.Plan
) -> list[dict[str, Any]]:
    """Does it fit, or by how much not; seconds a step and the price of the run, on each machine."""
    rows = []
    for machine in machines.MACHINES:
        framework = int(memory.FRAMEWORK["gpu" if machine.gpu else "cpu"]) - found.framework
        need = found.total + framework - (found.pageable if machine.gpu else 0)
        room = machine.memory_gb * 1e9 - need
        a_step = compute.seconds(step.total, machine, load.precision != "float32")
        price = plan.price if machine is chosen and plan.price is not None else machine.price_an_hour
        rows.append({
            "name": machine.title, "own": machine is chosen, "memory": f"{machine.memory_gb:g} GB",
            "fits": f"fits, {size(room)} free" if room >= 0 else f"too small by {size(-room)}", "ok": room >= 0,
            "step": span_of_time(a_step), "run": span_of_time(a_step * plan.steps),
            "cost": money(compute.cost(plan.steps, a_step, price)) if price else "–", "source": machine.source,
        })  # fmt: skip
    return rows


# Time and money


def timed(
    arch: Arch, method: Method, settings: Settings, step: compute.Flops, machine: machines.Machine, load: Load, plan: form.Plan,
    speed: float | None,
) -> list[str]:  # fmt: skip
    passes = [(step.forward, "forward"), (step.to_inputs, "gradients of inputs"), (step.to_weights, "gradients of weights"),
              (step.again, "the second forward pass of checkpointing")]  # fmt: skip
    told = ", ".join(f"{operations(n)} {name}" for n, name in passes if n)
    lines = [f"A step of {load.batch_size} × {load.tokens:,} tokens takes {operations(step.total)}operations: {told}."
             if step.total else "Nothing is trained, so no step is taken."]  # fmt: skip
    lines[0] = lines[0].replace("operations:", " operations:").replace("  ", " ")
    if step.total:
        lines.append(compute.saved_passes(arch, method.footprint(arch, settings)))
        a_step = compute.seconds(step.total, machine, load.precision != "float32")
        rate = machine.half_tflops if load.precision != "float32" else machine.tflops
        lines.append(
            f"On {machine.title}: {span_of_time(a_step)} a step, {span_of_time(a_step * plan.steps)} for {plan.steps:,} steps, "
            f"at {rate:g} · 10¹² operations a second of which {machine.utilisation:.0%} are reached ({machine.source})."
        )
        lines.append(
            f"Here: {span_of_time(step.total / speed)} a step, {span_of_time(step.total / speed * plan.steps)} in all, from two "
            f"steps measured on this machine ({operations(speed)} operations a second)." if speed
            else "Here: not measured yet; it is as soon as a model has been loaded for training."
        )  # fmt: skip
    return lines


def reading(arch: Arch, state: Mapping[str, Any], load: Load, plan: form.Plan) -> list[str]:
    """Compute-optimal text for this size, the reverse, what known models read, and epochs."""
    best, fitted = tokens.plain_tokens(arch.total), tokens.fitted_tokens(arch.total)
    lines = [
        f"To pretrain {number(arch.total)} parameters compute-optimally: {number(best)} tokens "
        f"(D = {tokens.TOKENS_A_PARAMETER:g} · N; Hoffmann et al. 2022, table 3). Their loss formula L = E + A/N^α + B/D^β, fitted "
        f"anew by Besiroglu et al. 2024, says {number(fitted)}."
    ]
    preset = next((p for p in presets.PRESETS if p.key == state["arch"]), None)
    if preset and preset.tokens_seen:
        lines.append(
            f"{preset.title} read {number(preset.tokens_seen)} tokens, {preset.tokens_seen / arch.total:,.0f} a parameter "
            f"({preset.source})."
        )
    read = plan.steps * load.batch_size * load.tokens
    lines.append(
        f"{number(plan.dataset_tokens)} tokens of text are enough for a model of {number(tokens.plain_parameters(plan.dataset_tokens))} "
        f"parameters (fitted: {number(tokens.fitted_parameters(plan.dataset_tokens))}). This run reads {number(read)} tokens, "
        f"{read / plan.dataset_tokens:.3g} epochs of them."
    )
    return lines


def quick(
    arch: Arch, method: Method, settings: Settings, count: trainable.Count, load: Load, plan: form.Plan
) -> list[str]:
    """Three questions that come up again and again."""
    lora = settings if method.key == "lora" else methods.find("lora").Settings()
    rank = answers.largest_rank(arch, lora, load, plan.budget_gb * 1e9)
    lines = [
        f"Which LoRA rank fits in {plan.budget_gb:g} GB? " + (f"Up to {rank}." if rank else "None: not even rank 1.")
    ]
    if method.trains:
        pairs = [p for p in answers.equal_budget(arch, count.trainable) if p.method != method.key]
        told = ", ".join(
            f"{methods.find(p.method).title} with {p.value} {p.setting.replace('_', ' ')} ({p.trainable:,})"
            for p in pairs
        )
        lines.append(f"What trains most nearly {count.trainable:,} parameters? {told}.")
        twice = answers.twice_as_long(arch, method, settings, load)
        (before, after), (work, more) = twice["bytes"], twice["flops"]
        lines.append(
            f"What does doubling the length to {twice['tokens']:,} tokens cost? {size(after - before)} more memory "
            f"(× {after / before:.2f}) and × {more / work:.2f} the time." if work else ""
        )  # fmt: skip
    return lines


# All methods


def table(arch: Arch, spec: RunSpec, load: Load, usual_methods: Usual) -> dict[str, Any]:
    """Every method on this architecture; numbers beside their texts, so that the page can sort and export them."""
    columns = [
        ("method", "", False), ("trainable", "parameters", True), ("share", "%", True), ("adapter", "MB", True),
        ("memory", "MB", True), ("step", "10⁹ operations", True),
    ]  # fmt: skip
    rows = []
    for method, usual, count in usual_methods:
        own = method.key == spec.method
        settings = spec.settings if own else usual
        if own:
            count = trainable.count(arch, method, settings)
        if count is None:
            values: list[float | None] = [None] * 5
        else:
            room = (
                None
                if memory.problems(arch, method, settings, load)
                else memory.predict(arch, method, settings, load).total / 1e6
            )
            work = compute.flops(arch, method, settings, load).total / 1e9
            values = [count.trainable, count.percent, count.adapter_bytes / 1e6, room, work]
        digits = (0, 4, 2, 0, 1)
        cells = [shown(value, d) for value, d in zip(values, digits, strict=True)]
        rows.append(
            {
                "method": method.key,
                "cells": [method.title + (" (as set)" if own else ""), *cells],
                "values": [method.title, *values],
            }
        )
    labels = [{"label": label, "unit": unit, "number": is_number} for label, unit, is_number in columns]
    return {"caption": "All methods on this model, others with their defaults", "columns": labels, "rows": rows}


# How numbers are said


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
