"""From a `config.json` to an `Arch`: each model family's tensors, named and shaped as transformers makes them.

Knows the families of `FAMILIES`; anything else is refused in one sentence. Reads no weight and asks no network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.accounting.arch import Arch, Tensor

Config = Mapping[str, Any]
LIMITS = {
    "hidden_size": ("Width", 65_536),
    "num_hidden_layers": ("Layers", 200),
    "num_attention_heads": ("Heads", 1_024),
    "num_key_value_heads": ("Key/value heads", 1_024),
    "head_dim": ("Head width", 4_096),
    "intermediate_size": ("Feed-forward width", 1_000_000),
    "vocab_size": ("Vocabulary", 2_000_000),
    "max_position_embeddings": ("Context", 100_000_000),
}
"""What a config may ask for at most: beyond it no model lies, and the sums would take too long."""
OTHER_NAMES = {
    "n_embd": "hidden_size", "n_layer": "num_hidden_layers", "n_head": "num_attention_heads",
    "n_inner": "intermediate_size", "n_positions": "max_position_embeddings",
}  # fmt: skip


@dataclass(frozen=True)
class Family:
    """One model type: its tensors, what its configs leave out, whether it predicts the next token."""

    tensors: Callable[[Config], Iterator[Tensor]]
    defaults: Mapping[str, Any]
    causal: bool = True


def config_arch(config: Config) -> Arch:
    """The architecture that a `config.json` describes. Raises `ValueError` with one sentence where it describes none."""
    kind = config.get("model_type")
    if not isinstance(kind, str):
        raise ValueError("This config names no model_type; is it the config.json of a model?")
    if kind not in FAMILIES:
        raise ValueError(f"The calculator knows no model type “{kind[:40]}”; it knows {', '.join(FAMILIES)}.")
    return _arch(kind, FAMILIES[kind], config)


def check_causal(config: Config) -> None:
    """Raise `ValueError` with one sentence where a config says itself that it predicts no next token."""
    made, family = config.get("architectures"), FAMILIES.get(str(config.get("model_type")))
    name = str(made[0])[:60] if isinstance(made, list) and made else ""
    if name and not name.endswith(("ForCausalLM", "LMHeadModel")):
        raise ValueError(f"This config is of a {name}, which is not a causal language model.")
    if family and not family.causal:
        raise ValueError(f"A {config['model_type']} is not a causal language model: it predicts no next token.")


def llama_arch(config: Config) -> Arch:
    """The architecture of a Llama: grouped-query attention, gated feed-forward, optional biases."""
    return config_arch({"model_type": "llama", **config})


def _arch(kind: str, family: Family, config: Config) -> Arch:
    known = {OTHER_NAMES.get(name, name): value for name, value in config.items() if value is not None}
    full: dict[str, Any] = {**family.defaults, **known}
    full.setdefault("num_key_value_heads", full.get("num_attention_heads"))
    if kind in ("gpt2", "gpt_neox", "bert"):  # no grouped queries there, whatever a config says
        full["num_key_value_heads"] = full.get("num_attention_heads")
    if kind == "gpt2" and "intermediate_size" not in full and isinstance(full.get("hidden_size"), int):
        full["intermediate_size"] = 4 * full["hidden_size"]
    for name in LIMITS:
        if name != "head_dim" or name in full:
            full[name] = _number(full, name)
    width, heads, kv_heads = full["hidden_size"], full["num_attention_heads"], full["num_key_value_heads"]
    if "head_dim" not in full and width % heads:
        raise ValueError(f"A width of {width:,} cannot be shared evenly by {heads} heads.")
    if kv_heads > heads or heads % kv_heads:
        raise ValueError(f"{heads} heads cannot share {kv_heads} key/value heads evenly.")
    full.setdefault("head_dim", width // heads)
    return Arch(
        tensors=tuple(family.tensors(full)), layers=full["num_hidden_layers"], width=width, heads=heads,
        kv_heads=kv_heads, head_dim=full["head_dim"], vocab=full["vocab_size"],
        max_length=full["max_position_embeddings"], family=kind,
    )  # fmt: skip


def _number(config: Config, name: str) -> int:
    title, most = LIMITS[name]
    value = config.get(name)
    if value is None:
        raise ValueError(f"This config names no {name}; is it a causal language model?")
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{title} ({name}) must be a whole number.")
    if not 1 <= value <= most:
        raise ValueError(f"{title} ({name}) must be between 1 and {most:,}; this config says {value:,}.")
    return value


def _layer(place: str, weights: Mapping[str, tuple[int, ...]], biases: Mapping[str, bool]) -> Iterator[Tensor]:
    """The tensors of one block; a bias is as long as its matrix has outputs (the first of `shape`)."""
    for name, shape in weights.items():
        yield Tensor(name=f"{place}.{name}.weight", shape=shape)
        if biases.get(name):
            yield Tensor(name=f"{place}.{name}.bias", shape=shape[:1])


def _gated(c: Config) -> Iterator[Tensor]:
    """Llama, Mistral, Qwen and Gemma: rotary positions, RMSNorm, a gated feed-forward part."""
    width, hidden, head = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q, kv = c["num_attention_heads"] * head, c["num_key_value_heads"] * head
    weights: dict[str, tuple[int, ...]] = {
        "self_attn.q_proj": (q, width), "self_attn.k_proj": (kv, width), "self_attn.v_proj": (kv, width),
        "self_attn.o_proj": (width, q),
        **({"self_attn.q_norm": (head,), "self_attn.k_norm": (head,)} if c.get("head_norms") else {}),
        "mlp.gate_proj": (hidden, width), "mlp.up_proj": (hidden, width), "mlp.down_proj": (width, hidden),
        "input_layernorm": (width,), "post_attention_layernorm": (width,),
    }  # fmt: skip
    in_attention, in_mlp = bool(c.get("attention_bias")), bool(c.get("mlp_bias"))
    biases = {n: in_attention if n.startswith("self_attn") else in_mlp for n in weights if n.endswith("_proj")}
    biases["self_attn.o_proj"] = biases["self_attn.o_proj"] and not c.get("qkv_only")
    yield Tensor(name="model.embed_tokens.weight", shape=(c["vocab_size"], width))
    for i in range(c["num_hidden_layers"]):
        yield from _layer(f"model.layers.{i}", weights, biases)
    yield Tensor(name="model.norm.weight", shape=(width,))
    if not c.get("tie_word_embeddings"):
        yield Tensor(name="lm_head.weight", shape=(c["vocab_size"], width))


def _gpt2(c: Config) -> Iterator[Tensor]:
    """GPT-2: learnt positions, one matrix for queries, keys and values, matrices stored (in, out), biases, tied head."""
    width, hidden = c["hidden_size"], c["intermediate_size"]
    yield Tensor(name="transformer.wte.weight", shape=(c["vocab_size"], width))
    yield Tensor(name="transformer.wpe.weight", shape=(c["max_position_embeddings"], width))
    linears = {
        "attn.c_attn": (width, 3 * width), "attn.c_proj": (width, width),
        "mlp.c_fc": (width, hidden), "mlp.c_proj": (hidden, width),
    }  # fmt: skip
    for i in range(c["num_hidden_layers"]):
        place = f"transformer.h.{i}"
        yield from _norms(f"{place}.ln_1", f"{place}.ln_2", width=width)
        for name, (inputs, outputs) in linears.items():
            yield Tensor(name=f"{place}.{name}.weight", shape=(inputs, outputs))
            yield Tensor(name=f"{place}.{name}.bias", shape=(outputs,))
    yield from _norms("transformer.ln_f", width=width)
    if not c.get("tie_word_embeddings"):
        yield Tensor(name="lm_head.weight", shape=(c["vocab_size"], width))


def _norms(*names: str, width: int) -> Iterator[Tensor]:
    """LayerNorms: a weight and a bias each."""
    for name in names:
        yield Tensor(name=f"{name}.weight", shape=(width,))
        yield Tensor(name=f"{name}.bias", shape=(width,))


def _gpt_neox(c: Config) -> Iterator[Tensor]:
    """GPT-NeoX, so Pythia: one matrix for queries, keys and values, biases, a head of its own."""
    width, hidden = c["hidden_size"], c["intermediate_size"]
    linears = {
        "attention.query_key_value": (3 * width, width), "attention.dense": (width, width),
        "mlp.dense_h_to_4h": (hidden, width), "mlp.dense_4h_to_h": (width, hidden),
    }  # fmt: skip
    biases = dict.fromkeys(linears, True)
    biases["attention.query_key_value"] = biases["attention.dense"] = c.get("attention_bias", True)
    yield Tensor(name="gpt_neox.embed_in.weight", shape=(c["vocab_size"], width))
    for i in range(c["num_hidden_layers"]):
        place = f"gpt_neox.layers.{i}"
        yield from _norms(f"{place}.input_layernorm", f"{place}.post_attention_layernorm", width=width)
        yield from _layer(place, linears, biases)
    yield from _norms("gpt_neox.final_layer_norm", width=width)
    if not c.get("tie_word_embeddings"):
        yield Tensor(name="lm_head.weight", shape=(c["vocab_size"], width))


def _phi(c: Config) -> Iterator[Tensor]:
    """Phi 1, 1.5 and 2: one norm a block, biases everywhere, in the head too."""
    width, hidden, head = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q, kv = c["num_attention_heads"] * head, c["num_key_value_heads"] * head
    linears = {
        "self_attn.q_proj": (q, width), "self_attn.k_proj": (kv, width), "self_attn.v_proj": (kv, width),
        "self_attn.dense": (width, q), "mlp.fc1": (hidden, width), "mlp.fc2": (width, hidden),
    }  # fmt: skip
    yield Tensor(name="model.embed_tokens.weight", shape=(c["vocab_size"], width))
    for i in range(c["num_hidden_layers"]):
        yield from _layer(f"model.layers.{i}", linears, dict.fromkeys(linears, True))
        yield from _norms(f"model.layers.{i}.input_layernorm", width=width)
    yield from _norms("model.final_layernorm", width=width)
    if not c.get("tie_word_embeddings"):
        yield Tensor(name="lm_head.weight", shape=(c["vocab_size"], width))
    yield Tensor(name="lm_head.bias", shape=(c["vocab_size"],))


def _bert(c: Config) -> Iterator[Tensor]:
    """BERT with its pooler: three embedding tables, biases everywhere, no head that predicts a next token."""
    width, hidden = c["hidden_size"], c["intermediate_size"]
    tables = {
        "word_embeddings": c["vocab_size"], "position_embeddings": c["max_position_embeddings"],
        "token_type_embeddings": c["type_vocab_size"],
    }  # fmt: skip
    for name, rows in tables.items():
        yield Tensor(name=f"embeddings.{name}.weight", shape=(rows, width))
    yield from _norms("embeddings.LayerNorm", width=width)
    linears = {
        "attention.self.query": (width, width), "attention.self.key": (width, width),
        "attention.self.value": (width, width), "attention.output.dense": (width, width),
        "intermediate.dense": (hidden, width), "output.dense": (width, hidden),
    }  # fmt: skip
    for i in range(c["num_hidden_layers"]):
        place = f"encoder.layer.{i}"
        yield from _layer(place, linears, dict.fromkeys(linears, True))
        yield from _norms(f"{place}.attention.output.LayerNorm", f"{place}.output.LayerNorm", width=width)
    yield from _layer("pooler", {"dense": (width, width)}, {"dense": True})


FAMILIES: Mapping[str, Family] = {
    "llama": Family(_gated, {"max_position_embeddings": 2048}),
    "mistral": Family(_gated, {"num_key_value_heads": 8, "max_position_embeddings": 131_072}),
    "qwen2": Family(_gated, {"attention_bias": True, "qkv_only": True, "max_position_embeddings": 32_768}),
    "qwen3": Family(_gated, {"head_dim": 128, "head_norms": True, "max_position_embeddings": 32_768}),
    "gemma": Family(_gated, {"head_dim": 256, "tie_word_embeddings": True, "max_position_embeddings": 8192}),
    "gpt2": Family(_gpt2, {"tie_word_embeddings": True, "vocab_size": 50257, "max_position_embeddings": 1024}),
    "gpt_neox": Family(_gpt_neox, {"max_position_embeddings": 2048}),
    "phi": Family(_phi, {"max_position_embeddings": 2048}),
    "bert": Family(_bert, {"max_position_embeddings": 512, "type_vocab_size": 2}, causal=False),
}
