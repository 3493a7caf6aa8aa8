"""Named comparisons to start from, at least one for each method. A form shows one run a method, so LoRA's family takes turns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from experiments import specs
from experiments.catalog import tasks
from experiments.specs import RunSpec


@dataclass(frozen=True)
class Preset:
    """One comparison: its methods with the settings that differ from their defaults, and how long each trains."""

    key: str
    title: str
    runs: dict[str, dict[str, Any]]
    train: dict[str, Any] = field(default_factory=dict)
    task: str = tasks.TASKS[0].key

    def specs(self, model: str) -> list[RunSpec]:
        """Its runs on this model."""
        common = {"model": model, "task": self.task, "train": self.train}
        return [specs.build(RunSpec, {**common, "method": m, "settings": own}) for m, own in self.runs.items()]


PRESETS: tuple[Preset, ...] = (
    Preset("first", "LoRA against prompt against prefix", {"lora": {}, "prompt": {}, "prefix": {}}),
    Preset("pirate", "LoRA against prompt against prefix on pirate", {"lora": {}, "prompt": {}, "prefix": {}}, task="pirate"),
    Preset("light", "The lightest: rank 1, IA³, LayerNorm", {"lora": {"rank": 1, "alpha": 2}, "ia3": {}, "layernorm": {}}),
    Preset("context", "Examples in the context, or training", {"lora": {}, "few-shot": {}, "zero-shot": {}}),
    Preset("soft", "Soft prompts: prompt, prefix, P-tuning", {"prompt": {}, "prefix": {}, "p-tuning": {}}, {"steps": 120}),
    Preset("lstm", "P-tuning with an LSTM, for 120 steps", {"p-tuning": {"encoder": "LSTM"}}, {"steps": 120}),
    Preset("share", "How much to move: LoRA, partial, full", {"lora": {}, "partial": {}, "full": {}}),
    Preset("rslora", "Rank 64, rank-stabilised", {"lora": {"rank": 64, "alpha": 16, "rslora": True}}),
    Preset("dora", "DoRA: length and direction apart", {"lora": {"dora": True}}),
    Preset("pissa", "PiSSA: LoRA from the strongest directions", {"lora": {"init": "pissa"}}),
    Preset("plus", "LoRA+: B learns 16 times as fast", {"lora": {"plus_ratio": 16}}),
    Preset("top", "LoRA in the last 2 layers, beside training them whole",
           {"lora": {"layers": "last 2"}, "partial": {"last_layers": 2}}),
    Preset("relatives", "LoRA's relatives: rank where it is used, products of two kinds",
           {"lora": {}, "adalora": {}, "loha": {}, "lokr": {}}, {"steps": 60}),
    Preset("few", "Few numbers: VeRA, OFT, SHiRA", {"lora": {"rank": 1, "alpha": 2}, "vera": {}, "oft": {}, "shira": {}}),
    Preset("layers", "Vectors in every layer: prefix, P-tuning v2, LLaMA-Adapter",
           {"prefix": {}, "p-tuning-v2": {}, "llama-adapter": {}}, {"steps": 120}),
    Preset("adapters", "Bottleneck adapters: behind, beside, factored, mixed",
           {"lora": {}, "houlsby": {}, "pfeiffer": {}, "parallel-adapter": {}, "compacter": {}, "mam": {}}),
    Preset("packed", "A base packed into 4 bits: QLoRA beside LoRA", {"lora": {}, "qlora": {}}),
    Preset("patient", "Early stopping and half a cosine", {"lora": {}, "full": {}},
           {"steps": 80, "schedule": "cosine", "warmup": 4, "looks": 8, "patience": 2}),
    Preset("biases", "Biases alone (for a model that has some)", {"bitfit": {}, "layernorm": {}}),
    Preset("bias", "LoRA with its matrices' biases (for a model that has some)", {"lora": {"bias": "lora_only"}, "bitfit": {}}),
)  # fmt: skip


def find(key: str) -> Preset:
    """The preset with this key. Raises `ValueError` with one sentence."""
    for preset in PRESETS:
        if preset.key == key:
            return preset
    raise ValueError(f"There is no preset “{key[:40]}”; there are {', '.join(p.key for p in PRESETS)}.")
