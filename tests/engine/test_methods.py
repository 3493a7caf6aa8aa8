"""The contract of a method, held by every one of them: a new method is tested by being in METHODS.

Shapes: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, BitsAndBytesConfig, LlamaConfig, LlamaForCausalLM

from experiments import methods
from experiments.accounting import folder_arch, module_arch
from experiments.engine import adapters, context, data, models
from experiments.engine import trial as trials
from experiments.engine.randomness import RandomState
from experiments.specs import SpecError, check
from tests.engine.conftest import FEW, run_spec, untouched
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


def begin(base, method, settings, seed=0, rate=None) -> trials.Trial:
    """A trial at ten times the default rate: random weights want more than trained ones."""
    found = methods.find(method)
    rate = 10 * found.learning_rate(found.Settings(**settings)) if rate is None else rate
    with RandomState(seed):
        return trials.begin(run_spec(method, rate=rate, seed=seed, **settings), base)


def rows(base, first: int = 0, count: int = 2) -> list[data.Example]:
    return [data.encode(base.tokenizer, row, FEW.max_length) for row in FEW.split(None).train[first : first + count]]


def advance(trial, base, steps: int, seed=0) -> list[float]:
    """Losses of steps on the same rows."""
    found, state = [], RandomState(seed)
    for _ in range(steps):
        with state:
            found.append(trial.backward(rows(base))[0])
            trial.update()
    return found


@torch.no_grad()
def logits(model, base) -> torch.Tensor:
    """Of two padded rows, shape (B, T, V), the model at rest; soft tokens before the text left out."""
    model.eval()
    batch = data.collate(rows(base, 4, 2), base.tokenizer.pad_token_id, base.device)
    out_BTV = model(input_ids=batch.ids_BT, attention_mask=batch.mask_BT).logits[:, -batch.ids_BT.shape[1] :]
    return out_BTV * batch.mask_BT[..., None]


def snapshot(model) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters()}


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


@pytest.mark.parametrize("chosen", [{}, {"dora": True}], ids=["lora", "dora"])
def test_lora_plus_gives_the_rates_of_pefts_own(chosen, base):
    from peft.optimizers import create_loraplus_optimizer

    trial = begin(base, "lora", {"plus_ratio": 8, **chosen}, rate=1e-3)
    theirs = create_loraplus_optimizer(trial.model, torch.optim.AdamW, lr=1e-3, loraplus_lr_ratio=8)

    def rates(optimizer) -> dict[int, float]:
        return {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}

    assert rates(trial.optimizer) == pytest.approx(rates(theirs)) and set(rates(theirs).values()) == {1e-3, 8e-3}


@pytest.mark.parametrize("scaling", [False, True])
def test_a_pissa_adapter_is_saved_as_an_ordinary_one_for_the_same_base(scaling, base, tmp_path):
    """Twice the rank, the same scale, and no trace of the changed base matrices."""
    trial = begin(base, "lora", {"init": "pissa", "rslora": scaling, "rank": 4})
    start = logits(trial.model, base)
    torch.testing.assert_close(start, logits(base.model, base), rtol=0, atol=1e-4)
    advance(trial, base, 2)
    adapters.save(trial.model, tmp_path / "adapter")
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert saved["r"] == 8 and saved["init_lora_weights"] is True


def test_fusion_is_a_mean_of_its_adapters_at_first_and_names_what_cannot_be_fused(base, own_home):
    """With values at the identity and even attention; reading another shape, another method, nothing."""
    from experiments.engine import bottleneck

    each = [bottleneck.plain(8, 2, "relu") for _ in range(2)]
    for adapter in each:
        torch.nn.init.normal_(adapter.up.weight)
    fusion, x = bottleneck.Fusion(8, each), torch.randn(3, 8)
    torch.nn.init.zeros_(fusion.query.weight)
    torch.testing.assert_close(fusion(x), (each[0](x) + each[1](x)) / 2, rtol=0, atol=1e-4)
    arch = module_arch(base.model)
    for run, method, attempt in (("a" * 12, "houlsby", 1), ("b" * 12, "pfeiffer", 1), ("b" * 12, "pfeiffer", 2)):
        adapters.save(begin(base, method, {}).model, own_home / "adapters" / f"{run}-{attempt}")
    said = {
        "": "Name two to six different Pfeiffer runs",
        "b" * 12: "Name two to six different Pfeiffer runs",
        f"{'a' * 12},{'b' * 12}": f"Run {'a' * 12} is no finished Pfeiffer run on this machine",
        f"{'c' * 12},{'b' * 12}": f"Run {'c' * 12} is no finished Pfeiffer run on this machine",
    }
    for runs, sentence in said.items():
        with pytest.raises(SpecError, match=sentence):
            check(run_spec("adapter-fusion", runs=runs), arch)
    wider = module_arch(LlamaForCausalLM(LlamaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=90)))
    with pytest.raises(SpecError, match="does not fit this model: its adapters are of another one"):
        check(run_spec("adapter-fusion", runs=f"{'b' * 12},{'d' * 12}"), wider)


def test_adalora_ends_at_its_budget(base):
    """As many directions as the rank in the end for each matrix on average, wherever they are left."""
    trial = begin(base, "adalora", {})
    trial.steps = 12
    advance(trial, base, 12)
    left = trial.model.base_model.rankallocator.left
    kept = sum(int(mask.sum()) for mask in left.values())
    assert kept == 8 * len(left) and len({int(mask.sum()) for mask in left.values()}) > 1
    moved = {n.replace("default", ""): p for n, p in trial.model.named_parameters() if ".lora_E." in n}
    assert sum(int((p != 0).sum()) for p in moved.values()) <= kept  # what was taken away is zero


def test_bitfit_says_that_a_model_has_no_biases(tiny):
    with pytest.raises(SpecError) as caught:
        check(run_spec("bitfit"), folder_arch(tiny))
    (problem,) = caught.value.problems
    assert problem.field == "method" and problem.sentence.startswith("This model has no biases, so BitFit has nothing")


def turns_of(rows) -> list[dict[str, str]]:
    pairs = ((r, c) for row in rows for r, c in (("user", row.prompt), ("assistant", row.completion)))
    return [{"role": role, "content": content} for role, content in pairs]


@pytest.mark.parametrize("chat", [True, False])
def test_few_shot_is_the_base_behind_the_examples(chat, base):
    """Logits of whole conversations in one piece, nothing kept from before; of text that is no conversation, too."""
    tokenizer, (*shown, asked) = copy.deepcopy(base.tokenizer), FEW.split(None).train[:3]
    if not chat:
        tokenizer.chat_template = None
    model = context.with_examples(base.model, tokenizer, shown, FEW.max_length)
    row, text = data.encode(tokenizer, asked, 400).ids, data.encode_text(tokenizer, "Plain text it is.", 9).ids
    if chat:
        whole = tokenizer.apply_chat_template(turns_of([*shown, asked]), return_dict=False)
    else:
        whole = tokenizer("".join(f"{r.prompt}\n{r.completion}{tokenizer.eos_token}" for r in [*shown, asked]))[
            "input_ids"
        ]
    assert len(whole) == model.context_tokens + len(row) and (model.own > 10) == chat
    for ids, expected, answered in ((row, whole, len(row) - model.own), (text, [*model.ids, *text], len(text))):
        batch = torch.tensor([ids, ids])
        with torch.no_grad():
            reference = base.model(torch.tensor([expected])).logits[:, -answered:]
            found = model(input_ids=batch, attention_mask=torch.ones_like(batch)).logits[:, -answered:]
        torch.testing.assert_close(found, reference.expand(2, -1, -1), rtol=0, atol=1e-4)


def test_more_examples_than_fit_are_refused_with_the_numbers(base):
    with pytest.raises(
        ValueError, match=r"^12 examples take [\d,]+ tokens and a prompt up to 400; the context is 512\."
    ):
        context.with_examples(base.model, base.tokenizer, FEW.split(None).train, 400)


def test_zero_shot_is_the_base(base):
    trial = begin(base, "zero-shot", {})
    assert trial.parameters == [] and trial.optimizer is None
    assert torch.equal(logits(trial.model, base), logits(base.model, base))


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
