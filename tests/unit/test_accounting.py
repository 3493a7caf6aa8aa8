"""Counting: the closed forms against transformers' own models, built without weights, and against real checkpoint files."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.accounting import Arch, Tensor, folder_arch, layer_indices, llama_arch
from experiments.catalog import models
from tests.models import tiny_gpt2, tiny_llama

CONFIG = dict(models.find("smollm2-135m").config)


def test_the_real_models_size():
    """134,515,008: what its model card and `num_parameters()` say."""
    arch = llama_arch(CONFIG)
    assert arch.total == 134_515_008 == models.find("smollm2-135m").parameters
    assert (arch.layers, arch.width, arch.heads, arch.kv_heads, arch.head_dim, arch.kv_width) == (
        30,
        576,
        9,
        3,
        64,
        192,
    )
    assert arch.linear_names == ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    assert len(arch.linears) == 30 * 7


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"tie_word_embeddings": False},
        {"attention_bias": True, "mlp_bias": True},
        {"attention_bias": True},
        {"num_key_value_heads": None},
        {"head_dim": 32},
        {"hidden_size": 4096, "num_attention_heads": 32, "num_key_value_heads": 8, "num_hidden_layers": 32,
         "intermediate_size": 14336, "vocab_size": 128256, "tie_word_embeddings": False},  # Llama 3 8B
    ],
)  # fmt: skip
def test_every_tensor_is_the_one_transformers_makes(change):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = {**CONFIG, "num_hidden_layers": 3, **change}
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**{k: v for k, v in config.items() if v is not None}))
    arch = llama_arch(config)
    assert {t.name: t.shape for t in arch.tensors} == {n: tuple(p.shape) for n, p in model.named_parameters()}
    assert arch.total == model.num_parameters()
    linears = {n for n, m in model.named_modules() if isinstance(m, torch.nn.Linear) and n != "lm_head"}
    assert {t.name.removesuffix(".weight") for t in arch.linears} == linears
    assert arch.head_dim == model.config.head_dim
    assert arch.kv_width == model.model.layers[0].self_attn.k_proj.out_features


@pytest.mark.parametrize("make", [tiny_llama, tiny_gpt2])
def test_a_folder_is_counted_from_its_headers(make, smollm2, tmp_path):
    from transformers import AutoModelForCausalLM

    folder = make(tmp_path / "model", smollm2)
    arch, model = folder_arch(folder), AutoModelForCausalLM.from_pretrained(folder)
    assert arch.total == model.num_parameters()
    assert {t.name: t.shape for t in arch.tensors} == {n: tuple(p.shape) for n, p in model.named_parameters()}
    assert (arch.layers, arch.width, arch.vocab, arch.max_length) == (
        2,
        64,
        len(model.get_input_embeddings().weight),
        512,
    )
    assert arch.heads == 4 and arch.kv_width == (32 if make is tiny_llama else 64)


def test_the_real_folder_and_its_config_agree(smollm2):
    arch, written = folder_arch(smollm2), llama_arch(CONFIG)
    assert arch.total == written.total and set(arch.linear_names) == set(written.linear_names)
    assert {t.name: t.shape for t in arch.tensors} == {t.name: t.shape for t in written.tensors}
    assert arch.model_copy(update={"tensors": ()}) == written.model_copy(update={"tensors": ()})


def test_weights_in_several_files_are_all_counted(smollm2, tmp_path):
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_llama(tmp_path / "one", smollm2))
    model.save_pretrained(tmp_path / "many", max_shard_size="100KB")
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 2
    assert folder_arch(tmp_path / "many").total == model.num_parameters()


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "has no readable config.json"),
        ({"config.json": b"not json"}, "has no readable config.json"),
        ({"config.json": b"{}", "pytorch_model.bin": b"x"}, "has no safetensors weights; other formats are not loaded"),
        ({"config.json": b"{}", "a.safetensors": b"\xff" * 8 + b"x"}, "is not a safetensors file"),
        ({"config.json": b"{}", "a.safetensors": b"short"}, "is not a safetensors file"),
        ({"config.json": b"{}", "a.safetensors": b"\x05" + b"\0" * 7 + b"{nope"}, "is not a safetensors file"),
        ({"config.json": b"[]", "a.safetensors": b"\x02" + b"\0" * 7 + b"{}"}, "has no readable config.json"),
    ],
)
def test_a_folder_that_holds_no_model_gets_a_sentence(files, sentence, tmp_path):
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    with pytest.raises(ValueError, match=sentence):
        folder_arch(tmp_path)


def test_a_config_of_something_else_gets_a_sentence(smollm2, tmp_path):
    folder = tiny_llama(tmp_path / "model", smollm2)
    config = json.loads((folder / "config.json").read_text())
    del config["num_hidden_layers"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="names no num_hidden_layers; is it a causal language model?"):
        folder_arch(folder)


def test_a_tensor_knows_its_place():
    inside = Tensor(name="model.layers.12.self_attn.q_proj.weight", shape=(4, 3))
    assert (inside.layer, inside.module, inside.size) == (12, "q_proj", 12)
    assert Tensor(name="transformer.h.0.attn.c_attn.weight", shape=(1,)).layer == 0
    outside = Tensor(name="lm_head.weight", shape=(2, 2))
    assert outside.layer is None and outside.module == "lm_head"


# ---- naming layers


@pytest.mark.parametrize(
    ("text", "expected"),
    [("all", (0, 1, 2, 3)), (" ALL ", (0, 1, 2, 3)), ("last 1", (3,)), ("last 4", (0, 1, 2, 3)), ("first 2", (0, 1)),
     ("0-2", (0, 1, 2)), ("3,1", (1, 3)), ("0-1, 1-2 ,2", (0, 1, 2)), ("2 - 3", (2, 3)), ("0", (0,))],
)  # fmt: skip
def test_layers_are_named_in_words(text, expected):
    assert layer_indices(text, 4) == expected


@pytest.mark.parametrize(
    "text", ["", "last", "last 0", "last 5", "first -1", "4", "3-4", "2-1", "0,,1", "-1", "1.5", "some"]
)
def test_other_words_get_a_sentence(text):
    with pytest.raises(ValueError, match=r"^(Layers are named as|This model has).*\.$"):
        layer_indices(text, 4)


@given(st.text(max_size=12), st.integers(1, 40))
def test_any_text_names_layers_that_exist_or_is_refused(text, layers):
    try:
        found = layer_indices(text, layers)
    except ValueError as error:
        assert str(error).startswith(("Layers are named", "This model has"))
        return
    assert found and found == tuple(sorted(set(found))) and found[0] >= 0 and found[-1] < layers


def test_an_arch_goes_to_json_and_back():
    arch = llama_arch(CONFIG)
    assert Arch.model_validate_json(arch.model_dump_json()) == arch
