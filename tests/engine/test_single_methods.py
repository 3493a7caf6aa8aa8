"""What one method alone promises, beside the contract of them all."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from experiments.accounting import folder_arch, module_arch
from experiments.engine import adapters, bottleneck, context, data
from experiments.specs import SpecError, check
from tests.engine.conftest import FEW, run_spec
from tests.engine.trials import advance, begin, logits


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
