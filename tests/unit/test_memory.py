"""Memory by part: sums that can be done by hand, the published sizes of packed weights, one sentence for what cannot be."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from experiments import methods
from experiments.__main__ import app
from experiments.accounting import answers, choice, compute, presets, tokens
from experiments.accounting.memory import PARTS, Load, predict, weight_bytes
from experiments.specs import SpecError

SMOL, LLAMA2 = presets.arch("smollm2-135m"), presets.arch("llama-2-7b")


def memory(arch=SMOL, method="lora", settings=None, **load):
    found = methods.find(method)
    return predict(arch, found, found.Settings(**(settings or {})), Load(**load))


def test_weights_by_precision():
    inside = sum(t.size for t in LLAMA2.linears)
    rest = LLAMA2.total - inside
    assert weight_bytes(LLAMA2, "float32") == 4 * LLAMA2.total
    assert weight_bytes(LLAMA2, "bf16") == 2 * LLAMA2.total
    assert weight_bytes(LLAMA2, "nf4") == inside * 0.5625 + 2 * rest
    saved = 8 * (weight_bytes(LLAMA2, "nf4") - weight_bytes(LLAMA2, "nf4-double")) / inside
    assert saved == pytest.approx(0.373, abs=0.001)  # QLoRA (Dettmers et al. 2023), section 3: 0.373 bits a parameter


def test_a_method_that_packs_the_base_is_weighed_as_it_packs():
    """QLoRA's matrices in 4 bits, all else as the lab has it; its own optimizer's moments in 8."""
    inside = sum(t.size for t in SMOL.linears)
    packed, plain = memory(method="qlora", settings={"double": False}), memory()
    assert packed.weights == inside * 0.5625 + 4 * (SMOL.total - inside)
    assert (packed.trained, packed.optimizer, packed.activations) == (plain.trained, plain.optimizer, plain.activations)
    eighth = memory(method="qlora", settings={"optimizer": "paged-adamw-8bit"})
    assert eighth.optimizer == eighth.pageable == memory(optimizer="paged-adamw-8bit").optimizer


@pytest.mark.parametrize(("optimizer", "bytes_each"), [("adamw", 8), ("sgd", 0), ("adamw-8bit", 2 + 8 / 256)])
def test_optimizer_states(optimizer, bytes_each):
    found = memory(method="full", optimizer=optimizer)
    assert found.optimizer == pytest.approx(bytes_each * SMOL.total, abs=1)
    assert found.pageable == 0
    assert memory(optimizer="paged-adamw-8bit").pageable == memory(optimizer="adamw-8bit").optimizer


def test_adafactor_keeps_a_row_and_a_column():
    settings = {"targets": "q_proj", "rank": 8}
    assert memory(optimizer="adafactor", settings=settings).optimizer == 4 * 30 * ((8 + 576) + (576 + 8))


def test_mixed_precision_is_sixteen_bytes_a_parameter():
    """Rajbhandari et al. 2020 (ZeRO), section 3.1."""
    found = memory(LLAMA2, "full", precision="bf16", device="gpu")
    assert found.weights + found.trained + found.gradients + found.optimizer == 16 * LLAMA2.total


def test_parts_add_up():
    for method in methods.METHODS:
        if any(method.check(SMOL, method.Settings())):
            continue
        found = memory(method=method.key, device="gpu")
        assert found.total == sum(getattr(found, part) for part in PARTS)
        assert found.total >= found.weights and all(getattr(found, p) >= 0 for p in PARTS if p != "not_at_once")


def test_what_grows_with_what():
    usual = memory()
    assert memory(batch_size=8).activations == 2 * usual.activations and memory(batch_size=8).weights == usual.weights
    assert memory(tokens=256).activations > 2 * usual.activations  # the mask grows with the square
    assert memory(checkpointing=True).activations < usual.activations / 5
    assert memory(learnt=50).logits == usual.logits / 2 == 2 * 128 * 4 * (4096 + 3 * 576)
    assert memory(method="full").logits == memory(precision="bf16").logits * 12 / 14 == 4 * 128 * 49152 * 12
    assert memory(settings={"layers": "last 6"}).activations < usual.activations / 4
    assert memory(method="zero-shot").activations == 0


def work(method, **settings):
    found = methods.find(method)
    return compute.flops(SMOL, found, found.Settings(**settings), Load())


def test_a_pass_that_is_saved_is_not_counted():
    full, lora, last = work("full"), work("lora"), work("partial", last_layers=1)
    assert full.forward == pytest.approx(full.to_weights, rel=0.1)
    assert lora.to_weights < full.to_weights / 20 and lora.total < 0.72 * full.total
    assert last.to_inputs < lora.to_inputs / 3 and work("zero-shot").total == 0
    matrices = sum(t.size for t in SMOL.linears) + 49152 * 576
    assert full.total == pytest.approx(6 * matrices * 4 * 128, rel=0.05)  # the rule of six operations a parameter


def test_small_networks_are_passed_by_every_token():
    load = Load()
    tokens = load.batch_size * load.tokens
    with_them, without = (work(m) for m in ("houlsby", "layernorm"))
    assert with_them.forward - without.forward == tokens * 2 * 2 * 30 * 2 * 576 * 36
    assert with_them.to_weights == tokens * 2 * 2 * 30 * 2 * 576 * 36


def test_compute_optimal_as_in_the_papers_table():
    """Hoffmann et al. 2022, table 3, first approach."""
    for parameters, best in {1e9: 20.2e9, 1e10: 205.1e9, 67e9: 1.5e12, 175e9: 3.7e12, 1e12: 21.2e12}.items():
        assert tokens.plain_tokens(parameters) == pytest.approx(best, rel=0.1)
        assert tokens.fitted_tokens(parameters) == pytest.approx(best, rel=0.3)
        assert tokens.plain_parameters(tokens.plain_tokens(parameters)) == pytest.approx(parameters)
        assert tokens.fitted_parameters(tokens.fitted_tokens(parameters)) == pytest.approx(parameters)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.parametrize("budget", [1.0e9, 1.7e9, 2.1e9, 3e9])
def test_the_largest_rank_fits_and_the_next_does_not(budget, device):
    lora, load = methods.find("lora"), Load(device=device)
    found = answers.largest_rank(SMOL, lora.Settings(), load, budget)
    if found:
        assert predict(SMOL, lora, lora.Settings(rank=found), load).total <= budget
    if (found or 0) < 192:
        assert predict(SMOL, lora, lora.Settings(rank=(found or 0) + 1), load).total > budget


def test_equal_budgets_are_the_nearest_there_are():
    prefix = methods.find("prefix")
    wanted = prefix.count(SMOL, prefix.Settings(virtual_tokens=100))
    pairs = {p.method: p for p in answers.equal_budget(SMOL, wanted)}
    assert pairs["prefix"].value == 100 and pairs["prefix"].trainable == wanted
    lora = methods.find("lora")
    counts = {rank: lora.count(SMOL, lora.Settings(rank=rank)) for rank in range(1, 20)}
    assert pairs["lora"].value == min(counts, key=lambda rank: abs(counts[rank] - wanted))


@pytest.mark.parametrize(
    ("method", "load", "field"),
    [
        ("full", {"precision": "nf4"}, "precision"), ("partial", {"precision": "int8"}, "precision"),
        ("lora", {"tokens": 8193}, "tokens"), ("prompt", {"tokens": 8192}, "tokens"), ("lora", {"tokens": 0}, "tokens"),
        ("lora", {"batch_size": -3}, "batch_size"), ("lora", {"batch_size": 10**30}, "batch_size"),
        ("lora", {"optimizer": "lion"}, "optimizer"), ("lora", {"learnt": float("nan")}, "learnt"),
        ("lora", {"wings": 2}, "wings"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(method, load, field):
    with pytest.raises(SpecError) as error:
        choice.loaded(SMOL, choice.chosen(SMOL, method, {}), load)
    assert [p.field for p in error.value.problems] == [field]


def test_norms_train_beside_packed_matrices():
    """LayerNorm moves what NF4 does not pack."""
    choice.loaded(SMOL, choice.chosen(SMOL, "layernorm", {}), {"precision": "nf4"})


def test_the_command():
    words = "memory --arch llama-2-7b --method lora --batch-size 4 --tokens 512 --precision nf4 --optimizer paged-adamw-8bit --json"
    done = CliRunner().invoke(app, words.split())
    found = json.loads(done.stdout)
    assert done.exit_code == 0 and found["total"] == sum(found[part] for part in PARTS)
    assert 3.7e9 < found["weights"] < 4.3e9
    refused = CliRunner().invoke(app, ["memory", "--precision", "fp3", "--json"])
    assert refused.exit_code == 2 and json.loads(refused.stdout)["problems"][0]["field"] == "precision"


def test_gradients_take_the_room_of_what_has_gone():
    """On a CPU only unused room and logits above glibc's threshold; on a GPU all activations."""
    small, large = memory(method="full", learnt=25), memory(method="full", batch_size=8)
    assert small.room == small.waste  # logits of 25 MB stay with the allocator
    assert large.room == large.waste + large.logits  # those of 201 MB do not
    for found in (small, large, memory(method="full", device="gpu")):
        assert found.not_at_once == -min(found.gradients, found.room)
