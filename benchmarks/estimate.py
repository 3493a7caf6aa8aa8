"""Seconds foretold from two steps against seconds taken: the bundled model, methods by batch, each calibrated and then run to its end.

One thread, and both in seconds of the processor: what else runs on the machine takes turns with it and would be measured, too.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

CASES: tuple[tuple[str, dict[str, Any], int, int], ...] = (
    ("lora", {}, 4, 40), ("lora", {"targets": "q_proj,v_proj"}, 8, 40), ("lora", {"layers": "last 2"}, 16, 20), ("prompt", {}, 4, 40),
    ("prefix", {}, 8, 30), ("p-tuning", {}, 4, 30), ("ia3", {}, 8, 30), ("layernorm", {}, 4, 40), ("partial", {"last_layers": 2}, 8, 40),
    ("full", {}, 4, 40), ("full", {}, 16, 20), ("few-shot", {}, 4, 0),
)  # fmt: skip


def measure(quick: bool) -> list[str]:
    """A Markdown table: foretold, taken, error; and the median of the errors."""
    lines = [
        "## Seconds: foretold from two steps, and taken",
        "",
        "Lab Nano on `storyteller`, one process, one thread, seconds of the processor; the first run also measures the base.",
        "",
        "| method | batch | steps | foretold, s | taken, s | error |",
        "|---|---|---|---|---|---|",
    ]
    errors = []
    for case, foretold, taken in _runs(CASES[:2] if quick else CASES):
        method, settings, batch, steps = case
        errors.append(100 * (foretold - taken) / taken)
        name = method + "".join(f", {key} {value}" for key, value in settings.items())
        lines.append(f"| {name} | {batch} | {steps} | {foretold:.1f} | {taken:.1f} | {errors[-1]:+.0f} % |")
    worst, median = max(errors, key=abs), statistics.median(map(abs, errors))
    return [*lines, "", f"Median absolute error over {len(errors)} runs: **{median:.0f} %**; the worst {worst:+.0f} %."]


def _runs(cases: Any) -> Any:
    """(case, seconds foretold, seconds taken) of each."""
    import torch

    from experiments import events
    from experiments.catalog import models
    from experiments.engine import training
    from experiments.engine.calibration import calibrate
    from experiments.engine.models import Bases
    from experiments.specs import RunSpec, build

    torch.set_num_threads(1)
    time.perf_counter = time.process_time
    entry = models.find("lab-nano")
    weights = models.weights_of(entry)
    base = Bases().get(entry.key, weights)
    for case in cases:
        method, settings, batch, steps = case
        train = {"steps": steps, "batch_size": batch}
        names = {"model": entry.key, "weights": weights, "task": "storyteller", "method": method}
        spec: RunSpec = build(RunSpec, {**names, "settings": settings, "train": train if steps else {}})
        foretold = calibrate(spec, base).seconds(spec.train.steps)
        with tempfile.TemporaryDirectory() as folder:
            *_, last = training.run(spec, base, Path(folder) / "adapter")
        if not isinstance(last, events.Finished):
            raise RuntimeError(f"{method} did not finish: {last}")
        yield case, foretold, last.elapsed_s
