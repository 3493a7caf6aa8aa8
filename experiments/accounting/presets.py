"""Published models by their configs: enough of each `config.json` to count every parameter, and what its makers published.

`published` is the size as the model's own weights add up to (a test holds the closed form against it and against
transformers); `tokens_seen` is None where the makers did not say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from typing import Any

from experiments.accounting.arch import Arch
from experiments.accounting.families import config_arch


@dataclass(frozen=True)
class Preset:
    """One published model. `hub` is where its config.json lies; `source` says where `tokens_seen` comes from."""

    key: str
    title: str
    config: Mapping[str, Any]
    published: int
    hub: str
    tokens_seen: float | None = None
    source: str = ""


def _shape(width: int, layers: int, heads: int, hidden: int, vocab: int, context: int) -> dict[str, Any]:
    return {
        "hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads,
        "intermediate_size": hidden, "vocab_size": vocab, "max_position_embeddings": context,
    }  # fmt: skip


def _gated(kind: str, kv_heads: int, *shape: int, tied: bool = False, **more: Any) -> dict[str, Any]:
    grouped = {"model_type": kind, "num_key_value_heads": kv_heads, "tie_word_embeddings": tied}
    return {**grouped, **_shape(*shape), **more}


def _gpt2(width: int, layers: int, heads: int) -> dict[str, Any]:
    return {"model_type": "gpt2", **_shape(width, layers, heads, 4 * width, 50257, 1024)}


def _pythia(width: int, layers: int, heads: int, vocab: int = 50304) -> dict[str, Any]:
    return {"model_type": "gpt_neox", **_shape(width, layers, heads, 4 * width, vocab, 2048)}


SMOLLM2_CARD = "the model card"
SMOLLM2 = "Allal et al. 2025, SmolLM2, abstract: some 11 trillion"
PYTHIA = "Biderman et al. 2023, Pythia: 299,892,736,000"
TINYLLAMA = "Zhang et al. 2024, TinyLlama, and the checkpoint's own name"
LLAMA2 = "the model card: 2 trillion"
LLAMA3 = "the model card: over 15 trillion"
LLAMA32 = "the model card: up to 9 trillion"
QWEN25 = "Qwen Team 2024, Qwen2.5 Technical Report: up to 18 trillion"
GEMMA = "Gemma Team 2024, Gemma: 3 trillion"
PHI2 = "the model card: 1.4 trillion"
BERT = "Devlin et al. 2019, appendix A.2: 128,000 tokens a batch, a million steps; at most, for most steps read shorter rows"

PRESETS: tuple[Preset, ...] = (
    Preset("smollm2-135m", "SmolLM2 135M", _gated("llama", 3, 576, 30, 9, 1536, 49152, 8192, tied=True),
           134_515_008, "HuggingFaceTB/SmolLM2-135M", 2e12, SMOLLM2_CARD),
    Preset("smollm2-360m", "SmolLM2 360M", _gated("llama", 5, 960, 32, 15, 2560, 49152, 8192, tied=True),
           361_821_120, "HuggingFaceTB/SmolLM2-360M", 4e12, SMOLLM2_CARD),
    Preset("smollm2-1.7b", "SmolLM2 1.7B", _gated("llama", 32, 2048, 24, 32, 8192, 49152, 8192, tied=True),
           1_711_376_384, "HuggingFaceTB/SmolLM2-1.7B", 11e12, SMOLLM2),
    Preset("gpt2", "GPT-2", _gpt2(768, 12, 12), 124_439_808, "openai-community/gpt2"),
    Preset("gpt2-medium", "GPT-2 medium", _gpt2(1024, 24, 16), 354_823_168, "openai-community/gpt2-medium"),
    Preset("gpt2-large", "GPT-2 large", _gpt2(1280, 36, 20), 774_030_080, "openai-community/gpt2-large"),
    Preset("gpt2-xl", "GPT-2 XL", _gpt2(1600, 48, 25), 1_557_611_200, "openai-community/gpt2-xl"),
    Preset("pythia-70m", "Pythia 70M", _pythia(512, 6, 8), 70_426_624, "EleutherAI/pythia-70m", 299.9e9, PYTHIA),
    Preset("pythia-160m", "Pythia 160M", _pythia(768, 12, 12), 162_322_944, "EleutherAI/pythia-160m", 299.9e9, PYTHIA),
    Preset("pythia-410m", "Pythia 410M", _pythia(1024, 24, 16), 405_334_016, "EleutherAI/pythia-410m", 299.9e9, PYTHIA),
    Preset("pythia-1b", "Pythia 1B", _pythia(2048, 16, 8), 1_011_781_632, "EleutherAI/pythia-1b", 299.9e9, PYTHIA),
    Preset("pythia-1.4b", "Pythia 1.4B", _pythia(2048, 24, 16), 1_414_647_808, "EleutherAI/pythia-1.4b", 299.9e9, PYTHIA),
    Preset("pythia-2.8b", "Pythia 2.8B", _pythia(2560, 32, 32), 2_775_208_960, "EleutherAI/pythia-2.8b", 299.9e9, PYTHIA),
    Preset("pythia-6.9b", "Pythia 6.9B", _pythia(4096, 32, 32, 50432), 6_857_302_016, "EleutherAI/pythia-6.9b", 299.9e9, PYTHIA),
    Preset("tinyllama", "TinyLlama 1.1B", _gated("llama", 4, 2048, 22, 32, 5632, 32000, 2048),
           1_100_048_384, "TinyLlama/TinyLlama-1.1B-intermediate-step-1431k-3T", 3e12, TINYLLAMA),
    Preset("llama-2-7b", "Llama 2 7B", _gated("llama", 32, 4096, 32, 32, 11008, 32000, 4096),
           6_738_415_616, "meta-llama/Llama-2-7b-hf", 2e12, LLAMA2),
    Preset("llama-2-13b", "Llama 2 13B", _gated("llama", 40, 5120, 40, 40, 13824, 32000, 4096),
           13_015_864_320, "meta-llama/Llama-2-13b-hf", 2e12, LLAMA2),
    Preset("llama-2-70b", "Llama 2 70B", _gated("llama", 8, 8192, 80, 64, 28672, 32000, 4096),
           68_976_648_192, "meta-llama/Llama-2-70b-hf", 2e12, LLAMA2),
    Preset("llama-3-8b", "Llama 3 8B", _gated("llama", 8, 4096, 32, 32, 14336, 128256, 8192),
           8_030_261_248, "meta-llama/Meta-Llama-3-8B", 15e12, LLAMA3),
    Preset("llama-3.2-1b", "Llama 3.2 1B", _gated("llama", 8, 2048, 16, 32, 8192, 128256, 131_072, tied=True, head_dim=64),
           1_235_814_400, "meta-llama/Llama-3.2-1B", 9e12, LLAMA32),
    Preset("llama-3.2-3b", "Llama 3.2 3B", _gated("llama", 8, 3072, 28, 24, 8192, 128256, 131_072, tied=True, head_dim=128),
           3_212_749_824, "meta-llama/Llama-3.2-3B", 9e12, LLAMA32),
    Preset("mistral-7b", "Mistral 7B v0.1", _gated("mistral", 8, 4096, 32, 32, 14336, 32000, 32_768),
           7_241_732_096, "mistralai/Mistral-7B-v0.1"),
    Preset("qwen2.5-0.5b", "Qwen2.5 0.5B", _gated("qwen2", 2, 896, 24, 14, 4864, 151_936, 32_768, tied=True),
           494_032_768, "Qwen/Qwen2.5-0.5B", 18e12, QWEN25),
    Preset("qwen2.5-1.5b", "Qwen2.5 1.5B", _gated("qwen2", 2, 1536, 28, 12, 8960, 151_936, 131_072, tied=True),
           1_543_714_304, "Qwen/Qwen2.5-1.5B", 18e12, QWEN25),
    Preset("qwen2.5-3b", "Qwen2.5 3B", _gated("qwen2", 2, 2048, 36, 16, 11008, 151_936, 32_768, tied=True),
           3_085_938_688, "Qwen/Qwen2.5-3B", 18e12, QWEN25),
    Preset("qwen2.5-7b", "Qwen2.5 7B", _gated("qwen2", 4, 3584, 28, 28, 18944, 152_064, 131_072),
           7_615_616_512, "Qwen/Qwen2.5-7B", 18e12, QWEN25),
    Preset("gemma-2b", "Gemma 2B", _gated("gemma", 1, 2048, 18, 8, 16384, 256_000, 8192, tied=True, head_dim=256),
           2_506_172_416, "google/gemma-2b", 3e12, GEMMA),
    Preset("phi-2", "Phi-2", {"model_type": "phi", **_shape(2560, 32, 32, 10240, 51200, 2048)},
           2_779_683_840, "microsoft/phi-2", 1.4e12, PHI2),
    Preset("bert-base", "BERT base", {"model_type": "bert", "type_vocab_size": 2, **_shape(768, 12, 12, 3072, 30522, 512)},
           109_482_240, "google-bert/bert-base-uncased", 1.28e11, BERT),
)  # fmt: skip


def find(key: str) -> Preset:
    """The preset with this key. Raises `ValueError` with one sentence."""
    known = {preset.key: preset for preset in PRESETS}
    if key in known:
        return known[key]
    near = get_close_matches(key.lower(), list(known), n=1)
    hint = f" Did you mean “{near[0]}”?" if near else f" There are {', '.join(known)}."
    raise ValueError(f"There is no architecture “{key[:60]}”.{hint}")


@cache
def arch(key: str) -> Arch:
    """A preset's architecture. Raises `ValueError` with one sentence for a key that is none."""
    return config_arch(find(key).config)
