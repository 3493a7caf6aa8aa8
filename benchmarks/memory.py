"""Memory predicted by the calculator against memory measured: each run in a process of its own, one step of a full batch.

Measured is the peak that a run reports (`engine/memory.py`): the resting process, what the run holds, one step on top.
Predicted is `accounting/memory.py` from the architecture alone. Packed weights and 8-bit optimizers are those of
bitsandbytes on the CPU. What was measured is kept in the lab's cache until all of it is, so that a run that was cut off goes on.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from experiments import methods
from experiments.accounting import Arch, llama_arch, presets
from experiments.accounting.memory import Load, Optimizer, Precision, predict
from experiments.catalog.cache import cache_folder, write_text

if TYPE_CHECKING:
    from experiments.engine.models import Base

SMALL = {
    "vocab_size": 4096, "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 6, "num_attention_heads": 8,
    "num_key_value_heads": 4, "max_position_embeddings": 2048, "tie_word_embeddings": True,
}  # fmt: skip
LORA = {"rank": 8}
QV = {"rank": 8, "targets": "q_proj,v_proj"}
RANDOM = {"init": "random"}
LEARNT = 0.5  # of the tokens of each row


@dataclass(frozen=True)
class Case:
    """A run: `rows` × `tokens` a batch, on the real model or on `SMALL`."""

    model: str
    method: str
    settings: dict[str, Any] = field(default_factory=dict)
    rows: int = 4
    tokens: int = 64
    precision: Precision = "float32"
    optimizer: Optimizer = "adamw"

    @property
    def name(self) -> str:
        further = [f"{k} {v}" for k, v in self.settings.items()]
        further += [self.precision] if self.precision != "float32" else []
        further += [self.optimizer] if self.optimizer != "adamw" else []
        return ", ".join([self.method, *further])


CASES: tuple[Case, ...] = (
    Case("real", "lora", LORA), Case("small", "lora", LORA),
    Case("real", "lora", QV), Case("real", "lora", LORA, 8, 128), Case("real", "prompt"), Case("real", "prefix", tokens=128),
    Case("real", "partial", {"last_layers": 4}), Case("real", "full"), Case("real", "full", rows=8, tokens=128),
    Case("small", "lora", LORA, 32, 256), Case("small", "full", {}, 16, 128), Case("small", "prompt", RANDOM, 32, 128),
    Case("small", "prefix", RANDOM, 16, 512), Case("small", "lora", QV, 64, 128),
    Case("real", "lora", LORA, precision="bf16"), Case("real", "lora", LORA, precision="int8"),
    Case("real", "lora", LORA, precision="nf4"), Case("real", "lora", LORA, precision="nf4-double"),
    Case("real", "full", optimizer="sgd"),
    Case("real", "full", optimizer="adamw-8bit"), Case("real", "full", optimizer="paged-adamw-8bit"),
    Case("real", "lora", LORA, precision="nf4-double", optimizer="paged-adamw-8bit"),
    Case("real", "qlora", LORA), Case("real", "qlora", {**LORA, "weights": "int8"}),
)  # fmt: skip


def measure(quick: bool) -> list[str]:
    """A Markdown table: predicted, measured, error; and the median of the errors."""
    lines = [
        "## Memory: predicted and measured",
        "",
        "| model | method | rows × tokens | predicted, MB | measured, MB | error | at rest: predicted, measured, MB |",
        "|---|---|---|---|---|---|---|",
    ]
    errors = []
    kept = cache_folder() / "memory-benchmark.json"
    seen = json.loads(kept.read_text("utf8")) if kept.is_file() and not quick else {}
    for case in CASES[:2] if quick else CASES:
        asked = json.dumps(asdict(case))
        if asked not in seen:
            seen[asked] = apart(asked)
            if not quick:
                write_text(kept, json.dumps(seen))
        peak, rest = seen[asked]["peak_mb"], seen[asked]["resting_mb"]
        predicted, resting = predicted_mb(case)
        errors.append(100 * (predicted - peak) / peak)
        lines.append(
            f"| {case.model} | {case.name} | {case.rows} × {case.tokens} | {predicted:,.0f} | {peak:,.0f} | {errors[-1]:+.1f} % | "
            f"{resting:,.0f}, {rest:,.0f} |"
        )
    kept.unlink(missing_ok=True)
    worst = max(errors, key=abs)
    median = statistics.median(map(abs, errors))
    return [*lines, "", f"Median absolute error over {len(errors)} runs: **{median:.1f} %**; the worst {worst:+.1f} %."]


def apart(asked: str) -> dict[str, float]:
    """A case in a process of its own. Raises `RuntimeError` with what it said."""
    child = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory", asked], capture_output=True, text=True, timeout=1200
    )
    if child.returncode:
        raise RuntimeError(child.stderr[-2000:])
    return json.loads(child.stdout.splitlines()[-1])


def predicted_mb(case: Case) -> tuple[float, float]:
    """Peak and resting process, in 10⁶ bytes."""
    method = methods.find(case.method)
    load = Load(
        batch_size=case.rows, tokens=case.tokens, learnt=100 * LEARNT, keeps_base=True,
        precision=case.precision, optimizer=case.optimizer,
    )  # fmt: skip
    found = predict(_arch(case.model), method, method.Settings(**case.settings), load)
    return found.total / 1e6, (found.weights + found.framework) / 1e6


def _arch(model: str) -> Arch:
    return presets.arch("smollm2-135m") if model == "real" else llama_arch(SMALL)


def one(case: Case) -> dict[str, float]:
    """A step of a case in this process: its peak and what the process held before, in 10⁶ bytes."""
    import torch

    from experiments.engine import data

    base = _base(case)
    trial = _trial(case, base)
    start = round(case.tokens * (1 - LEARNT))
    ids = torch.randint(5, 4000, (case.rows, case.tokens), generator=torch.Generator().manual_seed(0)).tolist()
    # one shorter row, so that a batch has padding, as it has in a run
    trial.backward([data.Example(tuple(row[: case.tokens - 3 * (i == 0)]), start) for i, row in enumerate(ids)])
    trial.update()
    return {"peak_mb": trial.meter.peak_mb(base.resting_mb), "resting_mb": base.resting_mb}


def _base(case: Case) -> Base:
    """The real model as the lab loads it, or in another precision; else a small one of random weights."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

    from experiments.catalog import models
    from experiments.engine import memory
    from experiments.engine.models import Base, asked, load, prepare

    entry = models.find("smollm2-135m")
    folder = prepare(entry, models.weights_of(entry))
    if case.model == "real" and case.precision == "float32":
        return load(folder, entry.key)
    torch.manual_seed(0)
    packing: dict[str, Any] = {}
    if case.precision == "int8":
        packing["quantization_config"] = BitsAndBytesConfig(load_in_8bit=True)
    elif case.precision.startswith("nf4"):
        packing["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16,
            bnb_4bit_use_double_quant=case.precision == "nf4-double",
        )  # fmt: skip
    model: Any = (
        AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, **packing)
        if case.model == "real"
        else LlamaForCausalLM(LlamaConfig(**SMALL))
    )
    model = model.eval().requires_grad_(False)
    with torch.no_grad():
        model(input_ids=torch.zeros(1, 1, dtype=torch.long))
    asked(model)
    memory.trim()
    return Base("measured", "measured", model, AutoTokenizer.from_pretrained(folder), memory.resident_mb())


def _trial(case: Case, base: Base) -> Any:
    """As a run of the lab begins, with another optimizer where one is asked for. A packed model is not copied (the lab's
    copy would lose how it is packed): the method is attached to the model itself."""
    import torch

    from experiments.engine import training, trial
    from experiments.specs import RunSpec

    spec = RunSpec.model_validate({"model": "any", "task": "pirate", "method": case.method, "settings": case.settings})
    if case.precision in ("float32", "bf16"):
        begun = training.begin(spec, base)
    else:
        model = methods.find(case.method).attach(base.model, spec.settings, base.tokenizer)
        trained = [p for p in model.parameters() if p.requires_grad]
        adam = torch.optim.AdamW(trial.groups(model, spec), fused=True)
        begun = trial.Trial(model.train(), trained, adam, base.tokenizer.pad_token_id)
    if case.optimizer == "sgd":
        begun.optimizer = torch.optim.SGD(trial.groups(begun.model, spec))
    elif case.optimizer != "adamw":
        import bitsandbytes.optim

        adam = {"adamw-8bit": bitsandbytes.optim.AdamW8bit, "paged-adamw-8bit": bitsandbytes.optim.PagedAdamW8bit}
        begun.optimizer = adam[case.optimizer](trial.groups(begun.model, spec))
    return begun


if __name__ == "__main__":
    print(json.dumps(one(Case(**json.loads(sys.argv[1])))))
