"""Comparisons: equal budgets, rates over each method's own range, intervals that hold what they promise, reports that say all of it."""

import csv
import io
import math
import random
from statistics import fmean

import pytest
from scipy.stats import ttest_rel

from experiments import comparison, events, methods
from experiments.accounting import llama_arch
from experiments.analysis import Record
from experiments.calibrated import Calibration
from experiments.catalog import models
from experiments.catalog.tasks.base import Row as TaskRow
from experiments.comparison import budgets, intervals, items, numbers, parts, peft_layout, report, table
from experiments.comparison.folding import _compared
from experiments.comparison.records import Comparison, Row, metrics_of
from experiments.comparison.spec import rates
from experiments.specs import SpecError
from experiments.store import Store
from experiments.sweeps import expand
from tests.unit import records

NANO = {"model": "lab-nano", "weights": "local:nano", "task": "storyteller"}
ARCH = llama_arch(models.find("lab-nano").config)


def spec(methods=("lora", "prompt"), **more) -> comparison.ComparisonSpec:
    return comparison.build({**NANO, "methods": list(methods), **more})


def said(error) -> str:
    return " ".join(p.sentence for p in error.value.problems)


# what is asked


def test_the_methods_share_everything_but_themselves_and_look_thoroughly():
    found = spec(budget={"kind": "steps", "amount": "12"}, train={"batch_size": "2"}, seeds=[4, 5])
    assert [r.method for r in found.runs] == ["lora", "prompt"] and {r.seed for r in found.runs} == {4}
    assert all((r.train.steps, r.train.batch_size, r.train.thorough) == (12, 2, True) for r in found.runs)
    assert (
        found.comparison_id
        == spec(budget={"kind": "steps", "amount": 12}, train={"batch_size": 2}, seeds=[4, 5]).comparison_id
    )
    assert comparison.ComparisonSpec.model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"methods": []}, "Choose at least one method."),
        ({"methods": ["lora", "lora"]}, "Each method can be there once"),
        ({"methods": ["lroa"]}, "Did you mean “lora”?"),
        ({"methods": [{"method": "lora", "settings": {"rank": 999}}]}, "Rank must be at most 256."),
        ({"budget": {"kind": "steps", "amount": 1.5}}, "whole number"),
        ({"budget": {"kind": "joules", "amount": 1}}, "must be one of steps, seconds, parameters, memory"),
        ({"seeds": [1, 1]}, "Each seed can be there once."),
        ({"rates": 20}, "at most 9"),
    ],
)  # fmt: skip
def test_what_makes_no_comparison_is_one_sentence(asked, sentence):
    with pytest.raises(SpecError) as error:
        spec(**asked)
    assert sentence in said(error)


def test_two_of_one_method_are_called_by_what_differs():
    found = spec([{"method": "lora"}, {"method": "lora", "settings": {"dora": True}}, "full"])
    assert comparison.labels(found.runs) == ["LoRA", "LoRA (dora True)", "Full"]


@pytest.mark.parametrize("method", [m for m in methods.METHODS if m.trains], ids=lambda m: m.key)
def test_rates_span_the_methods_own_range(method):
    low, high = method.usual_rates
    found = rates(spec([method.key], model="smollm2-135m").runs[0], 5)
    assert len(found) == 5 and found == tuple(sorted(found)) and found[0] == low and found[-1] == high
    usual = models.usual_rate("lab-nano", method.key)
    here = rates(spec([method.key]).runs[0], 5)
    assert here == found if usual is None else here[0] <= usual <= here[-1] and here[0] > found[0]
    steps = [math.log(b / a) for a, b in zip(found, found[1:], strict=False)]
    assert max(steps) == pytest.approx(min(steps), rel=0.15)


def test_a_part_races_its_rates_at_the_first_seed_and_what_trains_nothing_runs_once():
    lora, zero = (parts.part(s, s.runs[0]) for s in (spec(), spec(["zero-shot"])))
    assert lora.prune == "halving" and len(expand(lora).points) == 15
    assert zero.prune == "none" and [p.seed for p in expand(zero).points] == [0]


# budgets


def measured(run) -> Calibration:
    """As if memory grew with the batch, and prompt tuning took twice as long as LoRA."""
    a_step_s = {"lora": 0.1, "prompt": 0.2}.get(run.method, 0.1) * run.train.accumulate**0.5
    return Calibration(a_step_s=a_step_s, around_s=1.0, peak_mb=500 + 50 * run.train.batch_size)


def test_equal_seconds_are_as_many_steps_as_fit():
    found = budgets.fit(spec(budget={"kind": "seconds", "amount": 2}), measured)
    assert [f.run.train.steps for f in found] == [20, 10]
    (slow,) = budgets.fit(spec(["lora"], budget={"kind": "seconds", "amount": 0.01}), measured)
    assert slow.run is None and "more than the budget" in slow.sentence
    (later,) = budgets.fit(spec(["lora"], budget={"kind": "seconds", "amount": 2}), lambda run: None)
    assert later.run is not None and not later.is_known


@pytest.mark.parametrize("budget", [2_000, 50_000])
def test_equal_parameters_are_the_nearest_sizes_and_what_is_far_off_is_left_out(budget):
    found = budgets.fit(
        spec(["lora", "prefix", "houlsby", "full", "zero-shot"], budget={"kind": "parameters", "amount": budget}),
        measured,
    )
    for fit in found[:3]:
        if fit.run is not None:
            count = methods.find(fit.run.method).count(ARCH, fit.run.settings)
            assert budget / 1.5 <= count <= budget * 1.5 and f"{count:,} parameters" in fit.sentence
    assert found[2].run is not None or budget == 2_000
    assert found[3].run is None and "5,8" in found[3].sentence and found[4].run is not None
    for run in budgets.fitted(found):
        if run.method == "lora":
            assert run.settings.alpha / run.settings.rank == 2  # the update keeps its scale


def test_equal_memory_is_smaller_batches_of_the_same_rows():
    (fit,) = budgets.fit(spec(["lora"], budget={"kind": "memory", "amount": 610}), measured)
    assert (fit.run.train.batch_size, fit.run.train.accumulate) == (2, 2)
    (none,) = budgets.fit(spec(["lora"], budget={"kind": "memory", "amount": 510}), measured)
    assert none.run is None and "550 MB even with one row" in none.sentence


def test_what_cannot_be_measured_is_left_out_and_the_others_go_on():
    def measure(run):
        if run.method == "lora":
            raise budgets.Unmeasurable("There was not enough memory.")
        return measured(run)

    found = budgets.fit(spec(), measure)
    assert [f.run is None for f in found] == [True, False] and found[0].sentence == "There was not enough memory."


# intervals


def test_with_one_seed_the_interval_is_the_paired_t_test_of_scipy():
    draw = random.Random(1)
    a = [draw.gauss(1.0, 1.0) for _ in range(30)]
    b = [x + draw.gauss(0.2, 0.1) for x in a]
    found = intervals.paired([a], [b])
    reference = ttest_rel(a, b).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((reference.low, reference.high))
    assert not found.holds_zero
    assert intervals.paired(
        [a], [[draw.gauss(1.0, 1.0) for _ in range(30)]]
    ).holds_zero  # unpaired: the items' own noise


@pytest.mark.parametrize("seed_noise", [0.0, 0.3])
def test_the_interval_holds_the_truth_at_least_as_often_as_it_says(seed_noise):
    draw, hits, trials = random.Random(7), 0, 400
    for _ in range(trials):
        item = [draw.gauss(0, 1) for _ in range(12)]
        table_SN = [
            [1.0 + s + i + draw.gauss(0, 0.3) for i in item] for s in [draw.gauss(0, seed_noise) for _ in range(3)]
        ]
        found = intervals.crossed(table_SN)
        hits += found.low <= 1.0 <= found.high
    assert hits / trials >= 0.93


def test_nothing_repeated_has_no_interval_and_nothing_that_varies_has_none_to_speak_of():
    assert intervals.crossed([[2.0]]).half_width is None and intervals.crossed([[2.0]]).holds_zero
    assert intervals.crossed([]) is None and intervals.over_seeds([]) is None
    assert intervals.crossed([[100.0] * 4] * 3).half_width == 0.0
    assert intervals.level_for(5) == pytest.approx(0.99)


# items


def judged(losses, scores, subject="tuned", answers=None) -> events.Judged:
    return events.Judged(
        subject=subject, step=4, first=24, losses=losses, tokens=[10] * len(losses), general_losses=[20.0, 22.0],
        general_tokens=[10, 10], answers=answers or ["a"] * len(scores), scores=[{"style": s} for s in scores],
    )  # fmt: skip


def run_of(method, losses, scores, seed=0, **train) -> Record:
    run = records.finished(method)
    run.spec = spec([method], seeds=[seed]).runs[0]
    run.run_id = run.spec.run_id
    run.judged = {
        "tuned": judged(losses, scores),
        "base": judged([40.0, 44.0, 48.0], [0.0, 100.0, 0.0], "base", ["x", "y", "z"]),
    }
    return run


def test_the_mean_over_items_is_the_loss_over_tokens():
    run = run_of("lora", [10.0, 12.0, 14.0], [100.0, 0.0, 100.0])
    run.judged["tuned"] = run.judged["tuned"].model_copy(update={"tokens": (10, 20, 2)})
    assert fmean(items.losses([run])[0]) == pytest.approx(36 / 32)
    lost = run.judged["tuned"].model_copy(update={"losses": (10.0, None, 14.0)})
    run.judged["tuned"] = lost
    assert items.losses([run]) == [] and numbers.of_method([run]).get("held_out") is None


def test_what_was_fixed_and_broken_is_counted_over_the_seeds():
    rows = [TaskRow(f"Question {i}?", f"Answer {i}") for i in range(3)]
    runs = [run_of("lora", [1.0, 1.0, 1.0], [100.0, 0.0, 100.0 if s else 0.0], seed=s) for s in range(3)]
    found = items.changes(runs, "style", rows)
    assert (found.items, found.fixed, found.broke) == (3, 2, 1)
    assert found.examples_broke[0].prompt == "Question 1?" and found.examples_broke[0].base == "y"
    assert items.changes([records.finished("lora")], "style", rows) is None


# the whole


def made(values=((10.0, 12.0, 14.0), (10.1, 12.0, 14.2))) -> Comparison:
    asked = spec(seeds=[0, 1])
    runs = [
        [run_of(r.method, v, [100.0, 0.0, 100.0], seed=s) for s in (0, 1)]
        for r, v in zip(asked.runs, values, strict=True)
    ]
    rows = [
        Row(label=name, method=r.method, run=r, state="finished", rate=1e-3, numbers=numbers.of_method(done),
            rates=((1e-4, "pruned", 2.0), (1e-3, "finished", 1.0)))
        for name, r, done in zip(("LoRA", "Prompt & <b>co</b> 50%"), asked.runs, runs, strict=True)
    ]  # fmt: skip
    columns = metrics_of(asked)
    rows, best = _compared(columns, rows, runs)
    from experiments.comparison.folding import verdict

    return Comparison(
        comparison_id=asked.comparison_id, spec=asked, state="finished", created_s=0.0, elapsed_s=9.0, metrics=columns,
        rows=tuple(rows), best=best, verdict=verdict(columns, rows, best), made_with={"torch": "2"},
    )  # fmt: skip


def test_too_close_to_call_is_said_and_a_clear_lead_is_bold():
    close = made()
    assert "held_out" in close.rows[1].close and "too close to call" in close.verdict
    assert "≈ 1.2" in report.plain(close) and "**1.2" not in report.markdown(close)
    clear = made(((10.0, 12.0, 14.0), (20.0, 22.0, 24.1)))
    assert clear.rows[1].close == ("style", "forgetting") and "the next is" in clear.verdict
    assert "**1.200" in report.markdown(clear)
    assert "best at the highest rate it tried" in report.plain(clear)


def test_every_form_of_the_report_holds_every_row_as_text():
    found = made()
    page = report.html(found)
    assert "Prompt &amp; &lt;b&gt;co&lt;/b&gt; 50%" in page and "<b>co</b>" not in page and "<script" not in page
    lines = list(csv.reader(io.StringIO(report.csv_text(found))))
    assert len(lines) == 3 and lines[0][:5] == ["method", "settings", "rate", "state", "held_out"]
    assert float(lines[1][4]) == pytest.approx(1.2)
    tex = report.latex(found)
    assert r"Prompt \& <b>co</b> 50\%" in tex and tex.count(r"\\") == 4 and r"\begin{tabular}{lr" in tex
    assert found.comparison_id in report.markdown(found) and "equal steps: 40" in report.markdown(found)
    assert all("torch 2" in form(found) for form in (report.html, report.markdown))
    assert comparison.Comparison.model_validate_json(found.model_dump_json()) == found


def test_a_run_in_the_layout_of_pefts_method_comparison(tmp_path):
    run = run_of("lora", [10.0, 12.0, 14.0], [100.0, 0.0, 100.0])
    found = peft_layout.result(run, "LoRA", tmp_path, 1_700_000_000.0)
    assert found.keys() == {"run_info", "train_info", "meta_info"}
    assert found["run_info"].keys() == {
        "created_at", "total_time", "experiment_name", "peft_branch", "train_config", "peft_config", "error_msg"}  # fmt: skip
    assert found["train_info"].keys() >= {
        "accelerator_memory_reserved_avg", "accelerator_memory_max", "accelerator_memory_reserved_99th", "train_time",
        "file_size", "num_trainable_params", "num_total_params", "status", "metrics"}  # fmt: skip
    assert found["meta_info"].keys() == {"model_info", "dataset_info", "package_info", "system_info", "pytorch_info"}
    last = found["train_info"]["metrics"][-1]
    assert last["test accuracy"] == pytest.approx(0.96) and last["train total tokens"] > 0
    assert last["forgetting"] == pytest.approx(0.05) and found["train_info"]["status"] == "success"


# the store


def test_a_comparison_belongs_to_who_asked_for_it(tmp_path):
    store, asked = Store(tmp_path / "lab.sqlite"), spec()
    assert table.open_comparison(store, asked, "ann") and not table.open_comparison(store, asked, "ann")
    fits = [budgets.Fit(asked.runs[0], "as it is"), budgets.Fit(None, "too large", False)]
    table.set_fits(store, asked.comparison_id, "ann", fits)
    assert list(table.find(store, asked.comparison_id, "ann").fits) == fits
    assert table.find(store, asked.comparison_id, "eve") is None
    assert table.visible(store, asked.comparison_id, "eve").owner == "ann"
    assert not table.stop(store, asked.comparison_id, "eve") and table.stop(store, asked.comparison_id, "ann")
    assert table.state(store, asked.comparison_id, "ann") == "stopping"
    table.end(store, asked.comparison_id, "ann", "stopped", "Stopped by you.")
    assert [row.sentence for row in table.comparisons(store, "ann")] == ["Stopped by you."]
    assert table.unfinished(store) == [] and table.open_comparison(store, asked, "ann")
