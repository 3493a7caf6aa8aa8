"""The loop: the losses of TRL's trainer, the same alone as raced, nothing forgotten where nothing was trained, clean ends."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from experiments import advice, analysis, events, methods
from experiments.catalog import tasks
from experiments.engine import adapters, data, evaluation, generation, memory, training
from experiments.engine.randomness import RandomState
from experiments.recipe import TrainSettings, look_steps
from experiments.specs import RunSpec
from experiments.store import Row
from tests.engine.conftest import FEW, losses, run_spec

TIMES: Any = {
    **dict.fromkeys(("train_s", "elapsed_s", "peak_mb", "resting_mb", "adapter_path"), True), "generation": {"elapsed_s"},
}  # fmt: skip


def nothing() -> None:
    """Between two pieces of work: go on."""


def run(spec: RunSpec, base, folder: Path, between=nothing) -> list[events.Event]:
    return list(training.run(spec, base, folder, between))


def timeless(happened: list[events.Event]) -> list[dict[str, Any]]:
    """Everything but what a clock or a memory gauge said."""
    return [e.model_dump(exclude=TIMES) for e in happened]


def record(spec: RunSpec, happened: list[events.Event]) -> analysis.Record:
    return analysis.fold(analysis.Record(spec, spec.run_id), (Row(i, 0.0, e) for i, e in enumerate(happened)))


def test_a_task_is_tokenized_once_however_many_runs_read_it(base, tmp_path):
    list(run(run_spec("lora", rate=1e-3), base, tmp_path / "a"))
    before = data.encode.cache_info()
    list(run(run_spec("prompt", rate=1e-2), base, tmp_path / "b"))
    assert data.encode.cache_info().misses == before.misses and data.encode.cache_info().hits > before.hits


# ---- the same again


def test_raced_is_alone_bit_for_bit(base, weights, tmp_path):
    evaluation.base_look(base, FEW, nothing)  # so that all find it known
    specs = [
        run_spec("lora", steps=5, rate=1e-2, dropout=0.5), run_spec("prompt", steps=5, init="random"),
        run_spec("full", steps=5, rate=1e-3),
    ]  # fmt: skip
    alone = [run(spec, base, tmp_path / "alone" / str(i)) for i, spec in enumerate(specs)]
    raced: list[list[events.Event]] = [[], [], []]
    racing = [training.run(spec, base, tmp_path / "raced" / str(i)) for i, spec in enumerate(specs)]
    for turn in itertools.zip_longest(*racing):
        for happened, event in zip(raced, turn, strict=True):
            happened += [event] if event else []
    for a, b, i in zip(alone, raced, range(3), strict=True):
        assert timeless(a) == timeless(b) and len(losses(a)) == 5
        for file in (tmp_path / "alone" / str(i)).iterdir():
            assert file.read_bytes() == (tmp_path / "raced" / str(i) / file.name).read_bytes()
    assert weights()


def test_one_after_the_other_on_one_base_is_the_same(base, weights, tmp_path):
    spec = run_spec("lora", steps=4, rate=1e-2, dropout=0.3)
    evaluation.base_look(base, FEW, nothing)
    torch.manual_seed(123)
    first = run(spec, base, tmp_path / "a")
    run(run_spec("full", steps=2, rate=1.0), base, tmp_path / "b")
    torch.rand(7)  # what others draw does not matter
    assert timeless(run(spec, base, tmp_path / "a")) == timeless(first)
    assert timeless(run(run_spec("lora", steps=4, rate=1e-2, dropout=0.3, seed=1), base, tmp_path / "c")) != timeless(
        first
    )
    assert weights()


def test_a_random_state_is_one_stream_of_torch():
    """Cut in two and with other draws between, it goes on where it was."""
    torch.manual_seed(7)
    expected = torch.rand(6)
    state = RandomState(7)
    with state:
        first = torch.rand(2)
    torch.rand(5)
    with state:
        assert torch.equal(torch.cat([first, torch.rand(4)]), expected)


def test_a_run_draws_nothing_from_the_outside(base, tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    run(run_spec("lora", steps=2, dropout=0.5), base, tmp_path / "a")
    assert torch.equal(torch.rand(3), expected)


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 20), st.integers(0, 99))
def test_the_order_of_rows_is_shuffled_passes(rows, batch_size, steps, seed):
    order = list(data.order(rows, batch_size, steps, seed))
    assert [len(batch) for batch in order] == [batch_size] * steps
    flat = list(itertools.chain(*order))
    for start in range(0, len(flat) - rows + 1, rows):
        assert sorted(flat[start : start + rows]) == list(range(rows))
    assert order == list(data.order(rows, batch_size, steps, seed))
    assert order == list(data.order(rows, batch_size, steps + 5, seed))[:steps]


# ---- what happens, in order


def test_events_come_in_order(base, tmp_path):
    spec = run_spec("lora", steps=8)
    happened = run(spec, base, tmp_path / "adapter")
    steps = [["stepped"] for _ in range(8)]
    look = ["evaluated"]
    expected = [
        ["started"], steps[0], ["sampled", "sampled"], look, steps[1], look, steps[2], steps[3], ["sampled"], look, steps[4],
        steps[5], look, steps[6], steps[7], ["sampled"], look, ["evaluated"], ["finished"],
    ]  # fmt: skip
    assert [e.kind for e in happened] == list(itertools.chain(*expected))
    samples = [(e.subject, e.step) for e in happened if e.kind == "sampled"]
    assert samples == [("base", 0), ("tuned", 0), ("tuned", 4), ("tuned", 8)]
    assert [(e.subject, e.step) for e in happened if e.kind == "evaluated"] == [
        ("tuned", 0), ("tuned", 2), ("tuned", 4), ("tuned", 6), ("tuned", 8), ("base", 0),
    ]  # fmt: skip
    again = run(spec, base, tmp_path / "adapter")  # now the base is known: it is told at once
    assert [e.kind for e in again[:3]] == ["started", "evaluated", "stepped"]
    assert again[1].subject == "base" and again[1] == happened[-2]


def test_what_is_reused_of_the_base_is_what_the_untrained_method_measures(base, tmp_path):
    """LoRA's step 0 is told from the base's own numbers: they must be those of the untrained adapter, exactly."""
    told = next(
        e for e in run(run_spec("lora", steps=1), base, tmp_path / "a") if e.kind == "evaluated" and e.step == 0
    )
    measured = run(run_spec("lora", steps=0), base, tmp_path / "b")
    last = [e for e in measured if e.kind == "evaluated" and e.subject == "tuned"][-1]
    assert last.metrics is not None and told.held_out_loss == last.held_out_loss


def test_what_is_measured(base, tmp_path):
    spec = run_spec("lora", steps=4, rate=1e-2)
    happened = run(spec, base, tmp_path / "adapters" / "x-1")
    whole = record(spec, happened)
    assert whole.started.trainable == methods.find("lora").count(_arch(base), spec.settings)
    assert whole.started.total == base.model.num_parameters() and whole.started.rows == 12
    assert {"torch", "transformers", "peft"} <= whole.started.versions.keys()
    assert whole.held_out[0].held_out_loss == whole.base.held_out_loss  # step 0 is the base
    assert whole.tuned.metrics.keys() >= {"style", "facts"} and whole.base.metrics.keys() >= {"style", "facts"}
    assert whole.forgetting is not None and whole.forgetting != 0.0
    train_s, tokens = [s.train_s for s in whole.steps], [s.tokens for s in whole.steps]
    assert train_s == sorted(train_s) and tokens == sorted(set(tokens)) and 0 < tokens[0] < 2 * FEW.max_length
    assert all(s.gradient_norm > 0 and s.learning_rate == 1e-2 for s in whole.steps)
    assert whole.tuned.largest_logit_change > 0.01 and whole.started.without_end == 0.0
    end = whole.finished
    assert 0 < end.train_s <= end.elapsed_s and end.adapter_path == "adapters/x-1"
    assert end.adapter_bytes == sum(f.stat().st_size for f in (tmp_path / "adapters" / "x-1").iterdir())
    assert [a.prompt for a in whole.samples[0].answers] == list(FEW.probes)


def test_a_rate_of_zero_is_told_to_have_changed_nothing(base, tmp_path):
    spec = run_spec("lora", steps=2, rate=0.0)
    whole = record(spec, run(spec, base, tmp_path / "a"))
    assert whole.tuned.largest_logit_change == 0.0
    assert [a.sentence for a in advice.after(whole)][0].startswith("The adapter changed nothing")


def test_rows_whose_end_does_not_fit_are_told(base, tmp_path, monkeypatch):
    """Cut before the end token: nothing of it is learnt."""
    monkeypatch.setattr(tasks, "TASKS", (*tasks.TASKS[:-1], replace(FEW, max_length=45)))
    spec = run_spec("lora", steps=1)
    whole = record(spec, run(spec, base, tmp_path / "a"))
    assert whole.started.without_end > 0.3
    assert any("learnt without the end token" in a.sentence for a in advice.after(whole))


def _arch(base):
    from experiments.accounting import llama_arch

    return llama_arch(base.model.config.to_dict())


def test_the_mean_of_the_learnt_tokens_is_transformers_own_loss(base):
    """Labels shifted, prompt and padding left out: what the model computes itself when it is given labels."""
    examples = [data.encode(base.tokenizer, row, FEW.max_length) for row in FEW.split(None).held_out]
    ours = evaluation.row_losses(base.model, base, examples, nothing).mean()
    batch = data.collate(examples, base.tokenizer.pad_token_id, base.device)
    labels = batch.ids_BT.masked_fill(~batch.learn_BT, -100)
    with torch.no_grad():
        theirs = base.model(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, labels=labels).loss
    assert ours == pytest.approx(float(theirs), abs=1e-5)


@pytest.mark.parametrize(
    ("method", "settings"), [("lora", {}), ("full", {}), ("partial", {"last_layers": 1}), ("zero-shot", {})]
)
def test_nothing_trained_is_nothing_forgotten(method, settings, base, tmp_path):
    spec = run_spec(method, steps=0, **settings)
    whole = record(spec, run(spec, base, tmp_path / "adapter"))
    assert whole.status == "finished" and whole.steps == [] and whole.seconds_per_step is None
    assert whole.forgetting == 0.0
    assert whole.tuned.held_out_loss == whole.base.held_out_loss
    assert whole.tuned.metrics == whole.base.metrics
    assert whole.tuned.largest_logit_change == 0.0
    assert whole.samples[0].answers == whole.samples[1].answers
    assert (whole.finished.adapter_path is None) == (method == "zero-shot")


def test_peak_memory_is_plausible(base, tmp_path, untidy, monkeypatch):
    """Full training holds its own weights, gradients and two moments: 16 bytes a parameter above the resting process."""
    monkeypatch.setattr(memory, "trim", untidy)
    peaks = {}
    for method in ("full", "lora"):
        happened = run(run_spec(method, steps=2), base, tmp_path / method)
        peaks[method] = happened[-1].peak_mb - happened[0].resting_mb
    own_mb = 16 * base.total / 1e6
    assert own_mb <= peaks["full"] < own_mb + 400
    assert 0 < peaks["lora"] < peaks["full"]


# ---- the base is measured once


def test_the_bases_look_is_kept_and_equals_a_new_one(base, own_home, monkeypatch):
    first, probes = evaluation.base_look(base, FEW, nothing), evaluation.base_probes(base, FEW, nothing)
    with monkeypatch.context() as patch:
        patch.setattr(generation, "answers", None)  # would raise if it were asked
        patch.setattr(evaluation, "row_losses", None)
        assert (
            evaluation.base_look(base, FEW, nothing) == first and evaluation.base_probes(base, FEW, nothing) == probes
        )
    shutil.rmtree(own_home / "cache" / "base")
    assert not evaluation.base_is_known(base, FEW)
    assert timeless([evaluation.base_look(base, FEW, nothing)]) == timeless([first])
    assert evaluation.base_probes(base, FEW, nothing) == probes
    for damaged in (own_home / "cache" / "base").iterdir():
        damaged.write_text("{half")
    assert timeless([evaluation.base_look(base, FEW, nothing)]) == timeless([first])


def test_other_weights_are_measured_anew(base, own_home):
    evaluation.base_look(base, FEW, nothing)
    assert not evaluation.base_is_known(replace(base, weights="hub:other@1"), FEW)
    assert not evaluation.base_is_known(base, replace(FEW, scored_rows=3))


# ---- ends


def test_a_run_that_diverges_fails_with_its_cause_and_advice(brittle, tmp_path):
    happened = run(run_spec("full", steps=30, rate=10), brittle, tmp_path / "adapter")
    failed, last = happened[-1], [e for e in happened if e.kind == "stepped"][-1]
    assert failed.kind == "failed" and last.loss is None
    assert failed.cause == f"Diverged at step {last.step}: the loss is no longer a number."
    assert failed.advice == (
        "Usual rates for Full are 1e-06 to 0.0001; this run had 10. Try a learning rate of 0.0001 or a warm-up."
    )
    assert losses(happened)[0] is not None and None not in losses(happened)[:-1]
    assert not (tmp_path / "adapter").exists()
    for event in happened:
        json.dumps(event.model_dump(), allow_nan=False)
        assert events.parse(event.model_dump_json()) == event
    after = run(run_spec("zero-shot"), brittle, tmp_path / "next")  # the base took no harm
    untrained = next(e for e in happened if e.kind == "evaluated")
    assert record(run_spec("zero-shot"), after).tuned.held_out_loss == untrained.held_out_loss is not None


def stopped_at(mark, base, folder: Path) -> list[events.Event]:
    """A run that nobody wants any more from the first event on that `mark` says yes to."""
    happened: list[events.Event] = []

    def between() -> None:
        if any(mark(e) for e in happened):
            raise training.Unwanted

    for event in training.run(run_spec("lora", steps=50), base, folder, between):
        happened.append(event)
    return happened


@pytest.mark.parametrize("step", [1, 2, 5])
def test_stop_acts_within_a_step_and_says_how_many_were_done(step, base, tmp_path):
    happened = stopped_at(lambda e: e.kind == "stepped" and e.step == step, base, tmp_path / "adapter")
    assert happened[-1] == events.Cancelled(step=step)
    assert len(losses(happened)) == step and not list(tmp_path.glob("adapter*"))


def test_stop_before_the_first_step(base, tmp_path):
    happened = stopped_at(lambda e: e.kind == "started", base, tmp_path / "adapter")
    assert [e.kind for e in happened] == ["started", "cancelled"] and happened[-1].step == 0


def test_stop_acts_within_a_token_of_an_answer(base, tmp_path):
    """Also while the model is looked at: between two tokens, not after all of them."""
    calls = 0

    def between() -> None:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise training.Unwanted

    happened = run(run_spec("zero-shot"), base, tmp_path / "adapter", between)
    assert [e.kind for e in happened] == ["started", "cancelled"] and happened[-1].step == 0 and calls == 4


def test_a_run_that_is_closed_leaves_the_base_alone(base, weights, tmp_path):
    """A generator dropped in mid-step: nothing is saved, the next run is as ever."""
    spec = run_spec("full", steps=5, rate=1e-3)
    expected = losses(run(spec, base, tmp_path / "a"))
    half = training.run(spec, base, tmp_path / "half")
    assert next(e for e in half if e.kind == "stepped").step == 1
    half.close()
    assert losses(run(spec, base, tmp_path / "b")) == expected and not (tmp_path / "half").exists() and weights()


def test_a_disk_that_is_full_leaves_no_half_adapter(base, tmp_path, monkeypatch):
    def full_disk(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(adapters, "save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        run(run_spec("full", steps=1), base, tmp_path / "adapter")
    assert not list(tmp_path.glob("adapter*"))


def test_looks_are_spread_evenly():
    """Never at the last step, which gets the full look, and never twice at one."""

    def looks(steps: int) -> set[int]:
        return look_steps(TrainSettings(steps=steps))

    assert looks(0) == set() and looks(1) == set() and looks(40) == {10, 20, 30} and looks(2) <= {1}
    assert look_steps(TrainSettings(steps=40, looks=8)) == {5, 10, 15, 20, 25, 30, 35}
