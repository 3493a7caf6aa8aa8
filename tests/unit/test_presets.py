"""Architectures by config: every published size to the unit, and one sentence for what is no causal language model."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.accounting import choice, config_arch, presets
from experiments.specs import SpecError

LLAMA = dict(presets.find("tinyllama").config)


@pytest.mark.parametrize("preset", presets.PRESETS, ids=lambda p: p.key)
def test_the_published_size(preset):
    arch = presets.arch(preset.key)
    assert arch.total == preset.published
    assert len({t.name for t in arch.tensors}) == len(arch.tensors)


def test_sizes_as_they_are_written_elsewhere():
    """A few of them once more, typed from the model cards, so that a wrong table cannot agree with itself."""
    written = {
        "smollm2-135m": 134_515_008, "gpt2": 124_439_808, "llama-2-7b": 6_738_415_616, "llama-3-8b": 8_030_261_248,
        "mistral-7b": 7_241_732_096, "phi-2": 2_779_683_840, "gemma-2b": 2_506_172_416, "bert-base": 109_482_240,
        "tinyllama": 1_100_048_384, "pythia-70m": 70_426_624, "qwen2.5-7b": 7_615_616_512, "llama-3.2-1b": 1_235_814_400,
    }  # fmt: skip
    assert {key: presets.arch(key).total for key in written} == written


def test_these_families_and_sizes_are_there():
    wanted = "smollm2-135m smollm2-360m smollm2-1.7b gpt2-xl pythia-70m pythia-6.9b tinyllama llama-2-7b llama-2-13b"
    wanted += (
        " llama-2-70b llama-3-8b llama-3.2-1b llama-3.2-3b mistral-7b qwen2.5-0.5b qwen2.5-7b gemma-2b phi-2 bert-base"
    )
    assert set(wanted.split()) <= {p.key for p in presets.PRESETS}


def test_a_typo_names_the_nearest():
    with pytest.raises(SpecError, match="Did you mean “llama-3-8b”"):
        choice.named_arch("llama-3-9b")


def test_a_config_file_is_a_preset_by_another_door(tmp_path):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**LLAMA, "architectures": ["LlamaForCausalLM"], "torch_dtype": "bfloat16"}))
    assert choice.named_arch(str(file)) == presets.arch("tinyllama")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"hidden_size": 2049}, "A width of 2,049 cannot be shared evenly by 32 heads."),
        ({"num_key_value_heads": 5}, "32 heads cannot share 5 key/value heads evenly."),
        ({"num_key_value_heads": 64}, "32 heads cannot share 64 key/value heads evenly."),
        ({"num_hidden_layers": -1}, r"Layers \(num_hidden_layers\) must be between 1 and 200; this config says -1."),
        ({"num_hidden_layers": 10**9}, r"Layers \(num_hidden_layers\) must be between 1 and 200"),
        ({"vocab_size": "many"}, r"Vocabulary \(vocab_size\) must be a whole number."),
        ({"vocab_size": True}, r"Vocabulary \(vocab_size\) must be a whole number."),
        ({"hidden_size": None}, "This config names no hidden_size; is it a causal language model?"),
        ({"model_type": "mamba"}, "knows no model type “mamba”; it knows llama, mistral"),
        ({"model_type": "t5", "architectures": ["T5Model"]}, "is of a T5Model, which is not a causal language model."),
        ({"model_type": "bert", "architectures": ["BertModel"]}, "is of a BertModel, which is not a causal"),
        ({"model_type": "bert"}, "A bert is not a causal language model"),
        ({"architectures": ["LlamaForSequenceClassification"]}, "is of a LlamaForSequenceClassification, which is not"),
        ({"model_type": None}, "names no model_type"),
    ],
)
def test_a_wrong_config_gets_one_sentence(change, sentence):
    with pytest.raises(SpecError, match=sentence) as error:
        choice.text_arch(json.dumps({**LLAMA, **change}))
    assert [p.field for p in error.value.problems] == ["config"]


@pytest.mark.parametrize("text", ["", "not json", "[1]", "null", '"config"', "{", "[" * 100_000, "x" * 300_000])
def test_what_is_no_config_gets_one_sentence(text):
    with pytest.raises(SpecError) as error:
        choice.text_arch(text)
    (problem,) = error.value.problems
    assert problem.field == "config" and problem.sentence.endswith(".") and len(problem.sentence) < 150


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5000), st.floats(), st.text(max_size=5), st.lists(st.none())
)


@given(st.dictionaries(st.sampled_from(sorted({*LLAMA, "head_dim", "n_embd", "architectures"})), VALUES))
@settings(max_examples=200, deadline=None)
def test_any_config_is_counted_or_refused_in_one_sentence(change):
    config = {**LLAMA, "num_hidden_layers": 2, **change}
    try:
        arch = config_arch(config)
    except ValueError as error:
        assert str(error).endswith((".", "?"))
        return
    assert arch.total > 0 and arch.heads % arch.kv_heads == 0


def test_a_rank_above_the_matrix_is_refused_at_its_field():
    with pytest.raises(SpecError, match=r"Rank 256 is larger than the matrix k_proj \(192 × 576\)") as error:
        choice.chosen(presets.arch("smollm2-135m"), "lora", {"rank": 256})
    assert [p.field for p in error.value.problems] == ["settings.rank"]
    assert choice.chosen(presets.arch("smollm2-135m"), "lora", {"rank": 192}).settings.rank == 192  # type: ignore


def test_a_config_within_a_config_is_found():
    """Models that also see wrap the language model's config."""
    outer = {"model_type": "llava", "architectures": ["LlavaForCausalLM"], "text_config": LLAMA}
    assert choice.text_arch(json.dumps(outer)) == presets.arch("tinyllama")
