"""Memory predicted by the calculator against memory measured: each run in a process of its own, three steps, full batches.

Measured is the peak that a run reports (`engine/memory.py`): the resting process, what the run holds, one step on top.
Predicted is `accounting/memory.py` from the architecture alone.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from typing import Any

from experiments import methods
from experiments.accounting import Arch, llama_arch, presets
from experiments.accounting.memory import Load, predict

SMALL = {
    "vocab_size": 4096, "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 6, "num_attention_heads": 8,
    "num_key_value_heads": 4, "max_position_embeddings": 2048, "tie_word_embeddings": True,
}  # fmt: skip
LORA = {"rank": 8}
QV = {"rank": 8, "targets": "q_proj,v_proj"}
CASES: tuple[tuple[str, str, dict[str, Any], int, int], ...] = (
    ("real", "lora", LORA, 4, 64), ("real", "lora", QV, 4, 64), ("real", "lora", LORA, 8, 128), ("real", "prompt", {}, 4, 64),
    ("real", "prefix", {}, 4, 128), ("real", "partial", {"last_layers": 4}, 4, 64), ("real", "full", {}, 4, 64),
    ("real", "full", {}, 8, 128), ("small", "lora", LORA, 4, 64), ("small", "lora", LORA, 32, 256), ("small", "full", {}, 16, 128),
    ("small", "prompt", {"init": "random"}, 32, 128), ("small", "prefix", {"init": "random"}, 16, 512), ("small", "lora", QV, 64, 128),
)  # fmt: skip
LEARNT = 0.5  # of the tokens of each row


def measure(quick: bool) -> list[str]:
    """A Markdown table: predicted, measured, error; and the median of the errors."""
    lines = [
        "## Memory: predicted and measured",
        "",
        "| model | method | rows × tokens | predicted, MB | measured, MB | error | beyond the resting process: predicted, measured, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    errors = []
    for case in CASES[:1] + CASES[8:9] if quick else CASES:
        child = subprocess.run(
            [sys.executable, "-m", "benchmarks.memory", json.dumps(case)], capture_output=True, text=True, timeout=600
        )
        if child.returncode:
            raise RuntimeError(child.stderr[-2000:])
        seen = json.loads(child.stdout.splitlines()[-1])
        predicted, resting = predicted_mb(case)
        errors.append(100 * (predicted - seen["peak_mb"]) / seen["peak_mb"])
        model, method, settings, rows, tokens = case
        name = method + "".join(f", {k} {v}" for k, v in settings.items())
        lines.append(
            f"| {model} | {name} | {rows} × {tokens} | {predicted:,.0f} | {seen['peak_mb']:,.0f} | {errors[-1]:+.1f} % | "
            f"{predicted - resting:,.0f}, {seen['peak_mb'] - seen['resting_mb']:,.0f} |"
        )
    worst = max(errors, key=abs)
    median = statistics.median(map(abs, errors))
    return [*lines, "", f"Median absolute error over {len(errors)} runs: **{median:.1f} %**; the worst {worst:+.1f} %."]


def predicted_mb(case: tuple[str, str, dict[str, Any], int, int]) -> tuple[float, float]:
    """Peak and resting process, in 10⁶ bytes."""
    model, key, settings, rows, tokens = case
    method = methods.find(key)
    load = Load(batch_size=rows, tokens=tokens, learnt=100 * LEARNT, keeps_base=True)
    found = predict(_arch(model), method, method.Settings(**settings), load)
    return found.total / 1e6, (found.weights + found.framework) / 1e6


def _arch(model: str) -> Arch:
    return presets.arch("smollm2-135m") if model == "real" else llama_arch(SMALL)


def one(case: tuple[str, str, dict[str, Any], int, int]) -> dict[str, float]:
    """Three steps of a case in this process: its peak and what the process held before, in 10⁶ bytes."""
    import torch

    from experiments.catalog import models
    from experiments.engine import data, memory, training
    from experiments.engine.models import Base, Bases
    from experiments.specs import RunSpec

    model, method, settings, rows, tokens = case
    entry = models.find("smollm2-135m")
    if model == "real":
        base = Bases().get(entry.key, models.weights_of(entry))
    else:
        from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

        torch.manual_seed(0)
        small: Any = LlamaForCausalLM(LlamaConfig(**SMALL)).eval().requires_grad_(False)
        folder = models.folder(entry, models.weights_of(entry))
        with torch.no_grad():
            small(input_ids=torch.zeros(1, 1, dtype=torch.long))
        memory.trim()
        base = Base("small", "small", small, AutoTokenizer.from_pretrained(folder), memory.resident_mb())
    spec = RunSpec.model_validate({"model": "any", "task": "pirate", "method": method, "settings": settings})
    trial = training.begin(spec, base)
    start = round(tokens * (1 - LEARNT))
    for step in range(3):
        ids = torch.randint(5, 4000, (rows, tokens), generator=torch.Generator().manual_seed(step)).tolist()
        # one shorter row, so that a batch has padding, as it has in a run
        examples = [data.Example(tuple(row[: tokens - 3 * (i == 0)]), start) for i, row in enumerate(ids)]
        trial.backward(examples)
        trial.update()
    return {"peak_mb": trial.meter.peak_mb(base.resting_mb), "resting_mb": base.resting_mb}


if __name__ == "__main__":
    print(json.dumps(one(json.loads(sys.argv[1]))))
