"""Preferences and rewards on the bundled model: what the lab's callbacks cost a step of TRL's own trainers, what each objective takes
beside imitation, and how soon DPO and GRPO have learnt what they are asked.

Both sides of the first table are the same trainer, arguments, rows and random numbers, in turn; only the lab's callbacks and its lockstep
(`engine/alignment.py`) are on one side alone. A machine whose speed drifts moves their ratio by more than the callbacks take, so the time
inside the callbacks is measured by itself, too.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from experiments import events
from experiments.catalog import models, tasks
from experiments.engine import alignment, looking, preference, randomness, trainers, training
from experiments.engine.models import Base, Bases
from experiments.engine.randomness import RandomState
from experiments.engine.trainers import Order
from experiments.engine.trial import begin
from experiments.specs import RunSpec, build

PEERS: tuple[tuple[str, dict[str, Any], int, int], ...] = (("dpo", {}, 4, 20), ("grpo", {"reward": "polite"}, 2, 12))
"""Objective, its settings, rows and steps of a turn."""
CALLBACKS = ("on_step_begin", "on_pre_optimizer_step", "on_optimizer_step", "on_step_end", "on_log")
COSTS = (("sft", 4), ("sft-trl", 4), ("dpo", 4), ("kto", 4), ("reward", 4), ("grpo", 2))
"""Objective and rows a step; a row of KTO is one answer, of DPO two, of GRPO eight."""
WANTED, MOST_STEPS = 85.0, 80


def measure(quick: bool) -> list[str]:
    """Markdown: overhead, cost of each objective, time to learn."""
    entry = models.find("lab-nano")
    base = Bases().get(entry.key, models.weights_of(entry))
    return [
        "## Preferences and rewards on TRL's trainers",
        "",
        f"Lab Nano, `polite`, LoRA, {torch.get_num_threads()} threads.",
        "",
        *overhead(base, rounds=2 if quick else 8),
        "",
        *costs(base, steps=4 if quick else 10),
        "",
        *learnt(base, quick),
    ]


def spec_of(base: Base, objective: str, rows: int, steps: int, goal: dict[str, Any] | None = None) -> RunSpec:
    about = {"model": base.key, "weights": base.weights, "task": "polite", "method": "lora", "objective": objective}
    found: RunSpec = build(RunSpec, {**about, "goal": goal or {}, "train": {"steps": steps, "batch_size": rows}})
    return found


# What the callbacks cost


class Clock(TrainerCallback):
    """When each step ended; the random numbers of the first step are those that the lab's own callback gives it."""

    def __init__(self) -> None:
        self.ends: list[float] = []
        self._stream: Any = randomness.get_states()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if not self.ends:
            randomness.set_states(self._stream)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.ends.append(time.perf_counter())


def bare(spec: RunSpec, base: Base) -> list[float]:
    """When each step of TRL's trainer alone ended."""
    with tempfile.TemporaryDirectory() as folder, RandomState(spec.seed):
        order = Order(spec, base, tasks.of(spec), begin(spec, base), looking.alone, folder)
        clock = Clock()
        trainers.build(order, clock).train()
    return clock.ends


def ours(spec: RunSpec, base: Base) -> list[float]:
    """When each step was told as an event."""
    state = RandomState(spec.seed)
    with state:
        trial = begin(spec, base)
    order = Order(spec, base, tasks.of(spec), trial, looking.alone, "")
    return [time.perf_counter() for e in alignment.steps(order, state) if isinstance(e, events.Stepped)]


@contextlib.contextmanager
def inside_the_callbacks() -> Iterator[list[tuple[float, float]]]:
    """When each call of the lab's callbacks within this block began and ended, with what is done in it between two steps, where an event
    is told."""
    calls: list[tuple[float, float]] = []

    def timed(method: Callable[..., None]) -> Callable[..., None]:
        @wraps(method)
        def call(*args: Any, **named: Any) -> None:
            began = time.perf_counter()
            method(*args, **named)
            calls.append((began, time.perf_counter()))

        return call

    lab: Any = alignment.Telling
    alignment.Telling = type("Timed", (lab,), {name: timed(getattr(lab, name)) for name in CALLBACKS})  # type: ignore[misc]
    try:
        yield calls
    finally:
        alignment.Telling = lab  # type: ignore[misc]


def overhead(base: Base, rounds: int) -> list[str]:
    """A table: the steps after the first of ours against TRL's alone, in pairs, and which part of all our steps the callbacks take."""
    lines = [
        f"{rounds} pairs of turns after one that warms up; a turn's steps after its first, the middle pair and the furthest ones. "
        "In the callbacks: of all steps, the first one too, where memory is measured.",
        "",
        "| objective | TRL alone, s a step | with the lab's callbacks, s | ratio | pairs | in the callbacks |",
        "|---|---|---|---|---|---|",
    ]
    for objective, goal, rows, steps in PEERS:
        spec = spec_of(base, objective, rows, steps, goal)
        taken: dict[str, list[float]] = {"bare": [], "ours": []}
        inside: list[float] = []
        for i in range(rounds + 1):
            peers: list[tuple[str, Callable[[RunSpec, Base], list[float]]]] = [("bare", bare), ("ours", ours)]
            for name, peer in peers if i % 2 else reversed(peers):
                with inside_the_callbacks() as calls:
                    ends = peer(spec, base)
                taken[name].append((ends[-1] - ends[0]) / (steps - 1))
                if name == "ours":
                    inside.append(sum(end - began for began, end in calls) / (calls[-1][1] - calls[0][0]))
        pairs = [a / b for a, b in zip(taken["ours"][1:], taken["bare"][1:], strict=True)]
        seconds_a_step = " | ".join(f"{statistics.median(taken[name][1:]):.3f}" for name in ("bare", "ours"))
        lines.append(
            f"| {objective}, {steps} steps of {rows} | {seconds_a_step} | {statistics.median(pairs):.3f} "
            f"| {min(pairs):.2f} to {max(pairs):.2f} | **{100 * statistics.median(inside[1:]):.1f} %** |"
        )
    return lines


# What each objective takes


def costs(base: Base, steps: int) -> list[str]:
    """A table: a step and the peak of each objective against supervised training by the lab's own loop."""
    lines = [
        f"{steps} steps of each, one after the other, as the lab runs them.",
        "",
        "| objective | rows a step | s a step | × SFT | peak MB | × SFT |",
        "|---|---|---|---|---|---|",
    ]
    first: tuple[float, float] | None = None
    for objective, rows in COSTS:
        told = list(run(spec_of(base, objective, rows, steps), base))
        at = [e.train_s for e in told if isinstance(e, events.Stepped)]
        a_step_s, peak_mb = (at[-1] - at[0]) / (len(at) - 1), finished(told).peak_mb or 0.0
        first = first or (a_step_s, peak_mb)
        times = a_step_s / first[0], peak_mb / first[1]
        lines.append(
            f"| {objective} | {rows} | {a_step_s:.3f} | {times[0]:.2f} | {peak_mb:,.0f} | **{times[1]:.2f}** |"
        )
    return lines


def run(spec: RunSpec, base: Base) -> Iterator[events.Event]:
    with tempfile.TemporaryDirectory() as folder:
        yield from training.run(spec, base, Path(folder) / "adapter")


def finished(told: list[events.Event]) -> events.Finished:
    if not isinstance(told[-1], events.Finished):
        raise RuntimeError(f"The run did not finish: {told[-1]}")
    return told[-1]


# How soon it is learnt


def learnt(base: Base, quick: bool) -> list[str]:
    """Two sentences: seconds of DPO to the wanted pair accuracy, and how far GRPO's reward rose."""
    steps, seconds, accuracy = dpo_until(base, MOST_STEPS if not quick else 10)
    told = list(run(spec_of(base, "grpo", 2, 4 if quick else 30, {"reward": "short", "words": 2}), base))
    paid = [(e.measures or {}, e.train_s) for e in told if isinstance(e, events.Stepped)]
    (first, _), rewards = paid[0], [measures["reward"] for measures, _ in paid]
    wanted = first["reward"] + 2 * first["reward_std"]
    reached = next((i for i, reward in enumerate(rewards) if reward >= wanted), None)
    (last, train_s) = rewards[-1], paid[-1][1]
    when = f"step {reached + 1}, after {paid[reached][1]:.0f} s of training" if reached is not None else "no step"
    return [
        f"- DPO (β 0.1, 8 pairs a step): {accuracy:.0f} % of the held-out pairs after {steps} steps, {seconds:.0f} s of training "
        f"(looks every 5 steps, not counted).",
        f"- GRPO, paid for two words at most: {first['reward']:.2f} ± {first['reward_std']:.2f} at the first step, {last:.2f} at the "
        f"last of {len(rewards)} ({train_s:.0f} s); two standard deviations above the first ({wanted:.2f}) at {when}.",
    ]


def dpo_until(base: Base, most: int) -> tuple[int, float, float]:
    """Steps and seconds of training until DPO prefers the better answer of so many held-out pairs, in %."""
    spec, state = spec_of(base, "dpo", 8, most), RandomState(0)
    with state:
        trial = begin(spec, base)
    order = Order(spec, base, tasks.of(spec), trial, looking.alone, "")
    accuracy, step = 0.0, 0
    told = alignment.steps(order, state)
    for event in told:
        if isinstance(event, events.Stepped) and (step := event.step) % 5 == 0:
            with trial.at_rest() as model:
                accuracy = preference.measure(model, base, tasks.of(spec), lambda: None).metrics()["prefers"]
            if accuracy >= WANTED:
                break
    told.close()
    return step, trial.train_s, accuracy
