"""What a choice of the calculator costs, in sentences and rows: memory by part, machines, time, money, text, quick answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments import methods
from experiments.accounting import Arch, answers, compute, machines, memory, presets, tokens, trainable
from experiments.accounting.memory import Load
from experiments.methods import Method, Settings
from experiments.specs import RunSpec
from lab_app import calculator_form as form
from lab_app.amounts import money, number, operations, size, span_of_time


@dataclass(frozen=True)
class Speed:
    """What this machine computes while a model of so many parameters trains, in operations a second."""

    title: str
    parameters: int
    operations: float


@dataclass(frozen=True)
class Costs:
    """What a method costs on an architecture: the chosen one as it is set (`own`), others with their defaults. `count` is None
    where the architecture cannot take it, `memory` also where the load cannot."""

    method: Method
    own: bool
    count: trainable.Count | None
    memory: memory.Memory | None
    operations: float


def every(arch: Arch, spec: RunSpec, load: Load) -> list[Costs]:
    """Every method of the registry, in its order."""
    rows = []
    for method, usual, count in trainable.every_method(arch):
        own = method.key == spec.method
        settings = spec.settings if own else usual
        if own:
            count = trainable.count(arch, method, settings)
        fits = count is not None and not memory.problems(arch, method, settings, load)
        held = memory.predict(arch, method, settings, load) if fits else None
        work = compute.flops(arch, method, settings, load).total if count is not None else 0.0
        rows.append(Costs(method, own, count, held, work))
    return rows


# Memory


NAMES = {
    "weights": "weights", "trained": "adapter, or copies of what moves", "gradients": "gradients", "optimizer": "optimizer states",
    "activations": "activations", "logits": "scores of words (logits)", "waste": "unused room between tensors",
    "framework": "the framework itself",
}  # fmt: skip


def memory_parts(found: memory.Memory) -> dict[str, Any]:
    """Each part in bytes, the sum of what is there at once, and what the estimate leaves out."""
    parts = [{"key": key, "name": name, "bytes": getattr(found, key)} for key, name in NAMES.items()]
    note = f"The most a step holds: {size(found.total)}."
    if found.not_at_once:
        note += f" Gradients take the room of what has gone by then, so {size(-found.not_at_once)} of it are never there at once."
    return {"parts": parts, "total": found.total, "note": note, "out": memory.LEAVES_OUT}


def at_peak(found: memory.Memory) -> list[int]:
    """Bytes of each part at the highest moment, where gradients may stand in the room of what is gone already."""
    now = {key: getattr(found, key) for key in NAMES}
    now["gradients"] = max(found.gradients + found.not_at_once, 0)
    return list(now.values())


def bars(rows: Sequence[Costs]) -> dict[str, Any]:
    """One stacked bar a method that trains."""
    drawn = [
        {"method": row.method.key, "name": row.method.title, "own": row.own, "total": row.memory.total, "parts": at_peak(row.memory)}
        for row in rows if row.memory and row.method.trains
    ]  # fmt: skip
    return {"names": list(NAMES.values()), "keys": list(NAMES), "rows": drawn}


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
            "cost": money(compute.cost(plan.steps, a_step, price)) if price else "–",
        })  # fmt: skip
    return rows


PREDICTED = "No GPU was measured here: memory, time and cost on one are predictions from the same sums."


def sources() -> list[str]:
    """Where the machines' numbers are from, and what is assumed."""
    reached = f"A GPU is taken to reach {machines.GPU_REACHES:.0%} of its rate, which is assumed; a CPU {machines.CPU_REACHES:.0%}"
    lines = [reached + ", as measured here."]
    for machine in machines.MACHINES:
        rates = f"{machine.tflops:g} in float32, {machine.half_tflops:g} in half precision, 10¹² operations a second"
        price = f"; {machine.price_an_hour:.2f} US$ an hour ({machine.priced})" if machine.price_an_hour else ""
        lines.append(f"{machine.title}: {rates} ({machine.source}){price}.")
    return lines


# Time and money


def timed(
    arch: Arch, method: Method, settings: Settings, step: compute.Flops, machine: machines.Machine, load: Load, plan: form.Plan,
    speeds: Sequence[Speed],
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
            f"at {rate:g} · 10¹² operations a second of which {machine.utilisation:.0%} are reached."
        )
        lines.append(_here(arch, step.total, plan.steps, speeds))
    return lines


def _here(arch: Arch, work: float, steps: int, speeds: Sequence[Speed]) -> str:
    """Seconds on this machine, at the speed measured with the model nearest in size: small matrices are slower ones."""
    if not speeds:
        return "Here: not measured yet; it is as soon as a model has been loaded for training."
    near = min(speeds, key=lambda speed: abs(math.log(speed.parameters / arch.total)))
    a_step = work / near.operations
    return (
        f"Here: {span_of_time(a_step)} a step, {span_of_time(a_step * steps)} in all, from two steps of {near.title} measured on this "
        f"machine ({operations(near.operations)}operations a second)."
    )


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


def known_models(chosen: str) -> list[dict[str, Any]]:
    """What published models read, as far as their makers said."""
    rows: list[dict[str, Any]] = []
    for p in presets.PRESETS:
        if p.tokens_seen:
            a_parameter = f"{p.tokens_seen / p.published:,.0f}"
            cells = [p.title, number(p.published), number(p.tokens_seen), a_parameter, p.source]
            rows.append({"own": p.key == chosen, "cells": cells})
    return rows


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
