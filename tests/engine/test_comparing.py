"""A comparison carried out on a two-layer model: the same batches for all, a rate of its own for each, intervals, Stop and going on."""

import time

import pytest

from experiments import analysis, comparison
from experiments.comparison import peft_layout, report
from experiments.comparison.running import Comparer
from experiments.engine.execution import Engine
from experiments.jobs import Jobs
from experiments.store import Store
from experiments.sweeps.running import Sweeper
from experiments.workers import Inline


@pytest.fixture
def comparer(home, base):
    """One that trains in this process, on the two-layer model."""
    store = Store(home / "lab.sqlite")
    inline = Inline(store, home)
    inline._engine = Engine(store, home)
    inline._engine.bases._loaded["local:tiny"] = base
    queue = Jobs(store, inline)
    yield Comparer(Sweeper(store, [queue], home))
    queue.close()


def spec(methods=("lora", "prompt"), steps=4, **more) -> comparison.ComparisonSpec:
    asked = {
        "model": "tiny",
        "weights": "local:tiny",
        "task": "few",
        "methods": list(methods),
        "rates": 2,
        "seeds": [0, 1],
    }
    return comparison.build({**asked, "budget": {"kind": "steps", "amount": steps}, "train": {"batch_size": 2}, **more})


def compared(comparer, asked, owner="ann") -> comparison.Comparison:
    assert comparer.wait(comparer.start(asked, owner), owner, 200)
    found = comparison.progress(comparer.store, asked.comparison_id, owner)
    assert found is not None and found.state == "finished", found
    return found


def test_each_method_gets_its_rate_and_every_number_its_interval(comparer, home, tmp_path):
    found = compared(comparer, spec(["lora", "prompt", "zero-shot"]))
    lora, prompt, zero = found.rows
    assert [status for _, status, _ in lora.rates].count("finished") == 1 and lora.rate != prompt.rate
    assert [s.seed for s in lora.seeds] == [0, 1] and [s.seed for s in zero.seeds] == [0]
    runs = [analysis.load(comparer.store, s.run_id) for row in (lora, prompt) for s in row.seeds]
    tokens = [[s.tokens for s in r.steps] for r in runs]
    assert tokens[0] == tokens[2] and tokens[1] == tokens[3] and tokens[0] != tokens[1]  # the batches are the seed's
    for key in ("held_out", "style", "forgetting", "step_s", "peak_mb"):
        assert lora.numbers[key].half_width is not None
    assert lora.numbers["trainable"].is_exact and lora.numbers["tokens_per_s"].mean > 0
    assert zero.numbers["forgetting"].mean == zero.numbers["forgetting"].half_width == 0.0
    assert zero.numbers["held_out"].mean == pytest.approx(found.base["held_out"].mean, rel=1e-6)
    assert all([at[0] for at in s.trail] == [0, 1, 2, 3, 4] for row in (lora, prompt) for s in row.seeds)
    assert found.best["held_out"] in ("LoRA", "Prompt") and found.verdict and found.made_with["torch"]
    assert "Zero-shot" in report.html(found)
    files = peft_layout.write(comparer.store, found, home, tmp_path / "peft")
    assert len(files) == 5 and any("LORA" in file.read_text() for file in files)

    before = comparer.store.length(lora.seeds[0].run_id)
    assert (
        compared(comparer, spec(["lora", "prompt", "zero-shot"])).rows[0].numbers == lora.numbers
    )  # nothing is trained twice
    assert comparer.store.length(lora.seeds[0].run_id) == before


def test_stopped_it_keeps_what_is_done_and_goes_on_where_it_was(comparer):
    asked, store = spec(["lora"], steps=30, rates=1), comparer.store
    comparer.start(asked, "ann")
    until = time.monotonic() + 100
    while time.monotonic() < until:
        now = comparison.progress(store, asked.comparison_id, "ann")
        run = now and now.rows[0].seeds and analysis.load(store, now.rows[0].seeds[0].run_id)
        if run and len(run.steps) >= 3:
            break
        time.sleep(0.01)
    assert "somebody else's" in comparer.stop(asked.comparison_id, "eve")
    assert "what is done stays" in comparer.stop(asked.comparison_id, "ann")
    assert comparer.wait(asked.comparison_id, "ann", 60)
    halted = comparison.progress(store, asked.comparison_id, "ann")
    assert halted.state == "stopped" and halted.sentence == "Stopped by you; what is done stays."
    first = analysis.load(store, halted.rows[0].seeds[0].run_id)
    assert first.status == "cancelled" and 3 <= len(first.steps) < 30
    again = analysis.load(store, compared(comparer, asked).rows[0].seeds[0].run_id)
    assert again.started.resumed_at == len(first.steps)  # not a step was lost
    assert [s.loss for s in again.steps][: len(first.steps)] == [s.loss for s in first.steps] and len(again.steps) == 30


def test_equal_seconds_are_measured_first_and_kept(comparer):
    asked = spec(
        ["lora"], rates=1, seeds=[0], budget={"kind": "seconds", "amount": 1}, train={"batch_size": 2, "steps": 3}
    )
    found = compared(comparer, asked)
    steps = found.rows[0].run.train.steps
    assert 1 <= steps <= 5000 and f"{steps} steps of" in found.rows[0].note
    assert compared(comparer, asked, "bob").rows[0].run.train.steps == steps
    assert found.planned_s > 0 and found.remaining_s == 0.0


def test_what_does_not_fit_into_the_memory_is_left_out_and_said(comparer):
    found = compared(comparer, spec(["lora", "zero-shot"], rates=1, seeds=[0], budget={"kind": "memory", "amount": 1}))
    assert [row.state for row in found.rows] == ["left out", "finished"]
    assert "MB even with one row" in found.rows[0].note and "LoRA is left out" in report.plain(found)


def test_a_model_that_is_not_there_is_told_before_the_start():
    with pytest.raises(ValueError, match="model"):
        comparison.ready(comparison.build({"model": "no/such-model-here", "task": "few", "methods": ["lora"]}))
