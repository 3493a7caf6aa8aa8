"""What autograd keeps in truth, tensor by tensor, against the closed form of `accounting/activations.py`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from experiments import methods
from experiments.accounting import choice, config_arch
from experiments.accounting.activations import Step, activation_bytes
from experiments.accounting.presets import find
from experiments.specs import SpecError
from tests.engine.test_counts import ONE_A_FAMILY, hub_config

ROWS, TOKENS = 3, 40
SMALL = {
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "intermediate_size": 160,
    "vocab_size": 90,
}
SETTINGS = [
    ("full", {}), ("lora", {}), ("lora", {"targets": "TWO", "rank": 2}), ("lora", {"dropout": 0.2}), ("prompt", {"init": "random"}),
    ("prefix", {"init": "random"}), ("partial", {"last_layers": 3}), ("ia3", {}), ("bitfit", {}), ("layernorm", {}), ("p-tuning", {}),
    ("lora", {"dora": True}), ("adalora", {}), ("loha", {}), ("lokr", {}), ("vera", {}), ("oft", {}), ("oft", {"share": True}),
    ("shira", {"rank": 4}), ("llama-adapter", {}), ("p-tuning-v2", {}),
    ("houlsby", {}), ("pfeiffer", {"activation": "gelu"}), ("parallel-adapter", {}), ("compacter", {"reduction": 8}),
    ("mam", {"init": "random"}), ("qlora", {}),
]  # fmt: skip


NOT_GATED = ("qwen2", "gemma", "gpt2", "gpt_neox", "phi")
REFUSES = {"bitfit": ("llama", "mistral", "gemma"), "llama-adapter": NOT_GATED} | dict.fromkeys(
    ("loha", "lokr", "oft", "shira", "qlora"), ("gpt2",)
)
"""The families that a method cannot take, and says so."""


FIRST_KEEPS_LESS = (
    "prefix",
    "p-tuning-v2",
    "llama-adapter",
    "mam",
    "houlsby",
    "pfeiffer",
    "parallel-adapter",
    "compacter",
)
"""Methods with nothing to train before the first block, part of which therefore keeps nothing."""


def shape(family: str) -> dict[str, Any]:
    """The family at a small size, with grouped queries where it has them."""
    config = {**find(ONE_A_FAMILY[family]).config, **SMALL, "max_position_embeddings": 512}
    config.pop("head_dim", None)
    if "num_key_value_heads" in config:
        config["num_key_value_heads"] = 1 if family == "gemma" else 2
    return {**config, "head_dim": 16} if family == "gemma" else config


def kept_bytes(model: Any, ids_BT: torch.Tensor, mask_BT: torch.Tensor) -> int:
    """Bytes of the storages that wait for the backward pass, each once; weights, buffers and the head's part left out."""
    known = {p.untyped_storage().data_ptr() for p in (*model.parameters(), *model.buffers())}
    found: dict[int, torch.Tensor] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.is_sparse:  # a view of its values and of the places they stand at
            return tensor
        if tensor.untyped_storage().data_ptr() not in known:
            found[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        hidden = model(input_ids=ids_BT, attention_mask=mask_BT, use_cache=False, output_hidden_states=False).logits
        hidden.sum()
    return sum(t.untyped_storage().nbytes() for t in found.values())


def kept_of(family: str, method: str, settings: dict[str, Any], layers: int) -> tuple[int, int]:
    """Bytes predicted and bytes kept, with so many blocks. Raises `SpecError` where the method does not fit."""
    arch = config_arch(shape(family) | {"num_hidden_layers": layers})
    two = {"gpt2": "c_attn,c_fc", "gpt_neox": "query_key_value,dense_4h_to_h"}.get(family, "q_proj,v_proj")
    settings = {name: two if value == "TWO" else value for name, value in settings.items()}
    chosen = choice.chosen(arch, method, settings).settings
    torch.manual_seed(0)
    config = hub_config(shape(family) | {"num_hidden_layers": layers})
    for name in ("attn_pdrop", "embd_pdrop", "resid_pdrop"):
        setattr(config, name, 0.0)
    model = AutoModelForCausalLM.from_config(config).requires_grad_(False)
    if prepare := methods.find(method).prepare:
        prepare(model, chosen)
    model = methods.find(method).attach(model, chosen, None).train()
    ids_BT = torch.randint(0, 90, (ROWS, TOKENS))
    mask_BT = torch.ones_like(ids_BT)
    mask_BT[0, -5:] = 0  # padding, as in most batches
    foot = methods.find(method).footprint(arch, chosen)
    return activation_bytes(arch, foot, Step(ROWS, TOKENS)), kept_bytes(model, ids_BT, mask_BT)


@pytest.mark.parametrize("family", [f for f in ONE_A_FAMILY if f != "bert"])
@pytest.mark.parametrize("method, settings", SETTINGS, ids=[f"{m}-{s}" for m, s in SETTINGS])
def test_one_more_block_keeps_what_the_closed_form_says(family, method, settings):
    try:
        fewer, more = (kept_of(family, method, settings, layers) for layers in (3, 4))
    except SpecError:
        assert family in REFUSES[method]
        return
    assert more[0] - fewer[0] == pytest.approx(more[1] - fewer[1], rel=0.02)
    if method in FIRST_KEEPS_LESS or family in (
        "phi",
        "gpt_neox",
    ):  # part of the first block keeps nothing: it is frozen
        a_block = more[0] - fewer[0]
        assert more[0] - a_block <= 1.08 * more[1] and more[1] <= 1.08 * more[0]
    else:
        assert more[0] == pytest.approx(more[1], rel=0.08)
