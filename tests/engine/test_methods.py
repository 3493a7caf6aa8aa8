"""The contract of a method, held by every one of them: a new method is tested by being in METHODS.

Shapes: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from experiments import methods
from experiments.accounting import folder_arch
from experiments.engine import adapters, data, models
from experiments.engine.joining import inner
from experiments.engine.loss import completion_loss
from experiments.engine.randomness import RandomState
from experiments.specs import SpecError, check
from tests.engine.conftest import run_spec, untouched
from tests.engine.trials import advance, begin, logits, rows
from tests.models import tiny_llama

FITTED: dict[str, dict[str, Any]] = {
    "adapter-fusion": {"runs": "aaaaaaaaaaaa,bbbbbbbbbbbb"},
    "partial": {"last_layers": 1}, "few-shot": {"examples": 1}, "compacter": {"reduction": 8}, "adalora": {"final_rank": 11},
}  # fmt: skip
"""Settings where the defaults want more layers, context or width, or runs to build on. AdaLoRA at its own 8 of 12 takes all
directions of one of so few matrices, which then moves no more; that it ends at its budget has a test of its own."""
VARIANTS = [(m.key, FITTED.get(m.key, {})) for m in methods.METHODS] + [
    ("lora", {"layers": "last 1"}),
    ("lora", {"targets": "all-linear", "rank": 3, "alpha": 6}),
    ("lora", {"targets": "q_proj,v_proj"}),
    ("lora", {"dropout": 0.4}),
    ("lora", {"rslora": True, "rank": 9}),
    ("lora", {"dora": True}),
    ("lora", {"dora": True, "rslora": True, "layers": "last 1", "dropout": 0.2}),
    ("lora", {"plus_ratio": 16}),
    ("lora", {"bias": "lora_only", "layers": "last 1"}),
    ("lora", {"bias": "all", "dora": True}),
    ("lora", {"init": "gaussian"}),
    ("lora", {"init": "pissa"}),
    ("lora", {"init": "pissa", "rslora": True}),
    ("lora", {"init": "orthogonal"}),
    ("p-tuning", {"encoder": "LSTM", "hidden": 24, "dropout": 0.1}),
    ("p-tuning", {"encoder": "LSTM", "hidden": 32, "encoder_layers": 1, "virtual_tokens": 3}),
    ("prompt", {"init": "random"}),
    ("prompt", {"init": "vocabulary", "virtual_tokens": 3}),
    ("prefix", {"projection": True}),
    ("prefix", {"init": "random"}),
    ("prefix", {"init": "vocabulary", "virtual_tokens": 3}),
    ("partial", {"last_layers": 2}),
    ("few-shot", {"examples": 2}),
    ("ia3", {"feedforward": False}),
    ("ia3", {"attention": False}),
    ("lokr", {"factor": 4, "rank": 2}),
    ("vera", {"targets": "q_proj,v_proj", "rank": 7}),
    ("oft", {"share": True}),
    ("houlsby", {"activation": "gelu", "reduction": 4}),
    ("compacter", {"rank": 2, "products": 2}),
    ("llama-adapter", {"last_layers": 1}),
    ("qlora", {"double": False, "optimizer": "paged-adamw-8bit", "layers": "last 1"}),
    ("qlora", {"weights": "int8", "dropout": 0.2}),
]
WHOLE_TENSORS = ("full", "partial", "bitfit")
"""Methods that PEFT has no adapter for: they move tensors of the model itself."""
OUR_OWN = ("houlsby", "pfeiffer", "parallel-adapter", "compacter", "mam", "adapter-fusion")
"""Methods that PEFT has no adapter for: they put small networks of the lab's own into the model."""
TRAINED = [(m, s) for m, s in VARIANTS if methods.find(m).trains]
TRAINED_NAMES = {
    "lora": lambda name: ".lora_" in name,
    "p-tuning": lambda name: name.startswith("prompt_encoder."),
    "prompt": lambda name: name.startswith("prompt_encoder."),
    "prefix": lambda name: name.startswith("prompt_encoder."),
    "full": lambda name: True,
    "partial": lambda name: ".layers.1." in name,
    "ia3": lambda name: ".ia3_l." in name,
    "layernorm": lambda name: ".ln_tuning_layers." in name,
    "bitfit": lambda name: name.endswith(".bias"),
    "few-shot": lambda name: False,
    "zero-shot": lambda name: False,
    "adalora": lambda name: ".lora_" in name,
    "loha": lambda name: ".hada_" in name,
    "lokr": lambda name: ".lokr_" in name,
    "vera": lambda name: ".vera_lambda_" in name,
    "oft": lambda name: ".oft_R." in name,
    "shira": lambda name: ".shira_weight." in name,
    "llama-adapter": lambda name: ".adaption_" in name,
    "qlora": lambda name: ".lora_" in name,
    "adapter-fusion": lambda name: ".mlp.down_proj.adapter." in name and ".adapters." not in name,
    "houlsby": lambda name: ".adapter." in name,
    "pfeiffer": lambda name: ".mlp.down_proj.adapter." in name,
    "parallel-adapter": lambda name: ".mlp.adapter." in name,
    "compacter": lambda name: ".adapter." in name,
    "mam": lambda name: name.startswith("prompt_encoder.") or ".mlp.adapter." in name,
    "p-tuning-v2": lambda name: name.startswith("prompt_encoder."),
}
"""What each method says it trains, by its name in the module tree; a new method has to say so, too."""


def named(pairs: list) -> dict[str, Any]:
    return {"argvalues": pairs, "ids": ["-".join([m, *(f"{k}={str(v)[:12]}" for k, v in s.items())]) for m, s in pairs]}


all_variants = pytest.mark.parametrize("method, settings", **named(VARIANTS))
trained_variants = pytest.mark.parametrize("method, settings", **named(TRAINED))
peft_variants = pytest.mark.parametrize(
    "method, settings", **named([(m, s) for m, s in TRAINED if m not in (*WHOLE_TENSORS, *OUR_OWN)])
)


@pytest.fixture(scope="module")
def biased(tmp_path_factory, smollm2):
    """Three layers, biases, another width."""
    return tiny_llama(tmp_path_factory.mktemp("models") / "biased", smollm2, width=32, layers=3, bias=True)


@pytest.fixture(scope="module")
def biased_base(biased):
    return models.load(biased, "biased", "local:biased")


def wants_biases(request: pytest.FixtureRequest) -> bool:
    chosen = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    return chosen.get("method") == "bitfit" or "bias" in chosen.get("settings", {})


@pytest.fixture
def base(request, base, biased_base):
    """The two-layer Llama; for a method of biases, which it has none of, the three-layer one."""
    return biased_base if wants_biases(request) else base


@pytest.fixture
def folder(request, tiny, biased):
    """Where that base lies."""
    return biased if wants_biases(request) else tiny


@pytest.fixture(autouse=True)
def to_fuse(request, base, own_home):
    """Where a method fuses adapters, two of them trained in this test's lab, on the base of the test."""
    named = getattr(request.node, "callspec", None)
    if named and named.params.get("method") == "adapter-fusion":
        other = {"test_counted_on_gpt2": "gpt2_base", "test_counted_with_biases": "biased_base"}
        their = other.get(request.node.originalname)
        on = request.getfixturevalue(their) if their else base
        for seed, run in enumerate(FITTED["adapter-fusion"]["runs"].split(",")):
            trial = begin(on, "pfeiffer", {}, seed)
            advance(trial, on, 2, seed)
            adapters.save(trial.model, own_home / "adapters" / f"{run}-1")


@pytest.fixture
def weights(base):
    """Says whether the weights of the base are bit for bit those it had when the test began."""
    return untouched(base)


def snapshot(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@trained_variants
def test_rows_read_as_one_teach_what_they_teach_apart(base, method, settings):
    """A method that drops something at random, and would drop it alike in all rows, has them apart."""
    trial = begin(base, method, settings)
    batch = data.collate(rows(base, 0, 4), base.tokenizer.pad_token_id, base.device)
    whole, told, given = inner(trial.model), [], []
    whole.get_input_embeddings().register_forward_pre_hook(lambda module, ids: given.append(ids[0].shape[0]))
    for whole.lab_joins in (False, True):
        with RandomState(0):
            loss = completion_loss(trial.model, batch)
            told.append((loss, torch.autograd.grad(loss, trial.parameters, allow_unused=True)))
    assert given[-1] == (4 if settings.get("dropout") else 1)
    (apart, theirs), (joined, ours) = told
    assert float(joined) == pytest.approx(float(apart), abs=1e-5)
    largest = max(float(g.abs().max()) for g in theirs if g is not None)
    for a, b in zip(theirs, ours, strict=True):
        assert (a is None) == (b is None)
        assert a is None or float((a - b).abs().max()) <= 1e-3 * largest


@trained_variants
def test_only_what_it_names_trains(method, settings, base, weights):
    trial = begin(base, method, settings)
    before = snapshot(trial.model)
    advance(trial, base, 3)
    changed = {name for name, p in trial.model.named_parameters() if not torch.equal(p, before[name])}
    promised = {
        name
        for name in before
        if TRAINED_NAMES[method](name)
        or (settings.get("last_layers") == 2 and ".layers." in name)
        or (settings.get("bias") == "all" and name.endswith(".bias"))
        or (settings.get("bias") == "lora_only" and name.endswith(".bias") and ".layers.2." in name)
    }
    assert promised and changed == promised
    assert sum(p.numel() for p in trial.parameters) == sum(before[name].numel() for name in promised)
    assert weights()


@all_variants
def test_step_0_equals_the_base_where_it_says_so(method, settings, base):
    found = methods.find(method)
    promised = found.starts_at_base(found.Settings(**settings))
    assert torch.equal(logits(begin(base, method, settings).model, base), logits(base.model, base)) == promised


@trained_variants
def test_the_loss_falls(method, settings, base):
    curve = advance(begin(base, method, settings), base, 12)
    assert curve[-1] < curve[0] - 0.1, curve


@pytest.mark.parametrize(("method", "settings"), [("full", {}), ("lora", {}), ("prefix", {})])
def test_a_rate_of_zero_changes_nothing(method, settings, base):
    trial = begin(base, method, settings, rate=0.0)
    before = logits(trial.model, base)
    advance(trial, base, 2)
    assert torch.equal(logits(trial.model, base), before)


@trained_variants
def test_same_seed_same_losses(method, settings, base):
    first, second = (advance(begin(base, method, settings), base, 4) for _ in range(2))
    assert first == second and None not in first


@pytest.mark.parametrize(("method", "settings"), [("lora", {"dropout": 0.4}), ("prompt", {"init": "vocabulary"})])
def test_another_seed_gives_other_losses(method, settings, base):
    assert advance(begin(base, method, settings), base, 2) != advance(begin(base, method, settings, 1), base, 2, 1)


@trained_variants
def test_saved_and_loaded_it_gives_the_same_logits(method, settings, base, weights, tmp_path):
    trial = begin(base, method, settings)
    advance(trial, base, 3)
    size = adapters.save(trial.model, tmp_path / "adapter")
    assert size == sum(f.stat().st_size for f in (tmp_path / "adapter").iterdir())
    assert {p.name for p in tmp_path.iterdir()} - {"home"} == {"adapter"} and not list(tmp_path.glob("**/*.bin"))
    loaded = adapters.load(base, tmp_path / "adapter")
    expected = logits(trial.model, base)
    torch.testing.assert_close(logits(loaded, base), expected, rtol=0, atol=1e-5)
    assert not torch.allclose(logits(base.model, base), expected, atol=1e-3)  # there was something to save
    assert not loaded.training and weights()


def packing(method: str, settings: dict[str, Any]) -> dict[str, Any]:
    """How transformers packs the same base; nothing for a method that does not."""
    if method != "qlora":
        return {}
    if settings.get("weights") == "int8":
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True, llm_int8_threshold=0.0)}
    double = settings.get("double", True)
    config = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=double)
    return {"quantization_config": config}


@peft_variants
def test_plain_peft_loads_the_adapter(method, settings, base, folder, tmp_path):
    trial = begin(base, method, settings)
    advance(trial, base, 3)
    adapters.save(trial.model, tmp_path / "adapter")
    plain_base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **packing(method, settings))
    for module in plain_base.modules():
        if isinstance(
            module, Linear4bit
        ):  # with AVX-512 BF16 it would multiply in bfloat16 once no gradient is asked for
            module.support_avx512bf16_for_cpu = False
    plain = PeftModel.from_pretrained(plain_base, tmp_path / "adapter").eval()
    torch.testing.assert_close(logits(plain, base), logits(trial.model, base), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("method", "settings"), [("full", {}), ("partial", {"last_layers": 1}), ("bitfit", {})])
def test_plain_transformers_takes_the_saved_tensors(method, settings, base, folder, tmp_path):
    trial = begin(base, method, settings)
    advance(trial, base, 3)
    adapters.save(trial.model, tmp_path / "adapter")
    plain = AutoModelForCausalLM.from_pretrained(folder)
    left = plain.load_state_dict(load_file(tmp_path / "adapter" / adapters.TENSORS), strict=False)
    plain.tie_weights()
    assert not left.unexpected_keys
    torch.testing.assert_close(logits(plain.eval(), base), logits(trial.model, base), rtol=0, atol=1e-5)


def test_an_adapter_that_is_gone_is_named(base, tmp_path):
    with pytest.raises(FileNotFoundError, match="The adapter gone is not on this machine any more."):
        adapters.load(base, tmp_path / "gone")


# ---- count() on other architectures

PLAIN_ONLY = ("loha", "lokr", "oft", "shira", "qlora")
"""Methods that PEFT has for plain linear layers only, not for GPT-2's."""
GPT2 = [
    (m, s) for m, s in VARIANTS if "q_proj" not in s.get("targets", "") and m not in (*PLAIN_ONLY, "llama-adapter")
] + [
    ("lora", {"targets": "c_attn"}),
    ("lora", {"targets": "c_attn,c_proj,c_fc", "rank": 2, "layers": "last 1"}),
]


def assert_counted(folder, base, method, settings) -> None:
    """The closed form, the spec's own check, the trainable parameters and PEFT's own count agree; a step can be taken."""
    arch, spec = folder_arch(folder), run_spec(method, **settings)
    check(spec, arch)
    trial = begin(base, method, settings)
    counted = methods.find(method).count(arch, spec.settings)
    assert counted == sum(p.numel() for p in trial.model.parameters() if p.requires_grad)
    assert counted == sum(p.numel() for p in trial.parameters)
    assert arch.total == base.total
    if isinstance(trial.model, PeftModel):
        assert counted == trial.model.get_nb_trainable_parameters()[0]
    else:
        assert method in (*WHOLE_TENSORS, *OUR_OWN, "few-shot", "zero-shot")
    if trial.parameters:
        assert None not in trial.backward(rows(base))
        trial.update()


@all_variants
def test_counted_on_llama(method, settings, folder, base):
    assert_counted(folder, base, method, settings)


@pytest.fixture(scope="module")
def gpt2_base(gpt2):
    return models.load(gpt2, "gpt2", "local:gpt2")


@pytest.mark.parametrize("method, settings", **named(GPT2))
def test_counted_on_gpt2(method, settings, gpt2, gpt2_base):
    assert_counted(gpt2, gpt2_base, method, settings)


@pytest.mark.parametrize("method", [*PLAIN_ONLY, "llama-adapter"])
def test_what_gpt2_cannot_take_is_said(method, gpt2):
    with pytest.raises(SpecError, match=r"^[^.]+ (stands at plain linear layers|is made for llama)[^.]+\.$") as caught:
        check(run_spec(method), folder_arch(gpt2))
    assert [p.field for p in caught.value.problems] == ["method"]


@all_variants
def test_counted_with_biases(method, settings, biased, biased_base):
    assert_counted(biased, biased_base, method, settings)
