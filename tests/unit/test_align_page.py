"""The Align tab from records alone: what each stage brought, who wins by the rule and how sure that is, what was tried and paid."""

from __future__ import annotations

import pytest

from experiments import analysis, events, path, specs
from experiments.catalog.tasks import Row
from experiments.specs import RunSpec
from experiments.store import Row as Stored
from lab_app import align_view


def as_it_is(spec: RunSpec) -> RunSpec:
    return spec


def stages(**goals) -> list[RunSpec]:
    return path.stages({"model": "any", "task": "polite", "method": "lora"}, as_it_is, goals)


def records() -> list[analysis.Record]:
    """The path as three runs would tell it: DPO lowers both probabilities, GRPO is paid more and more."""
    found = []
    for spec in stages():
        told: list[events.Event] = [
            events.Started(trainable=1, total=9, rows=9, device="cpu", threads=1, resting_mb=1.0, versions={})
        ]
        for i in range(1, 13):
            measures = {
                "dpo": {"chosen_logp": -50.0 - i, "rejected_logp": -50.0 - 3 * i},
                "grpo": {"reward": i / 12, "reward_std": 0.2},
            }
            pace = 2 if spec.objective == "dpo" else 1
            step = events.Stepped(step=i, loss=1 / i, learning_rate=1e-3, tokens=9 * i, train_s=pace * i)
            told.append(step.model_copy(update={"measures": measures.get(spec.objective)}))
        if spec.objective == "grpo":
            told.append(
                events.Grouped(
                    step=12, prompt="P?", answers=("<b>a</b>", ""), rewards=(1.0, 0.0), advantages=(0.7, -0.7)
                )
            )
        told.append(
            events.Evaluated(subject="tuned", step=12, held_out_loss=1.0, metrics={"kind": 80.0, "prefers": 90.0})
        )
        rows = [Stored(i, 0.0, event) for i, event in enumerate(told)]
        found.append(analysis.fold(analysis.Record(spec, spec.run_id), rows))
    return found


def test_each_stage_begins_with_the_one_before():
    sft, dpo, grpo = stages(dpo={"beta": 0.3})
    assert [s.objective for s in (sft, dpo, grpo)] == ["sft", "dpo", "grpo"]
    assert (sft.after, dpo.after, grpo.after) == ("", sft.run_id, dpo.run_id) and dpo.goal.model_dump()["beta"] == 0.3
    with pytest.raises(specs.SpecError) as caught:
        stages(grpo={"reward": "word"})
    assert [p.field for p in caught.value.problems] == ["goal.word"]


def test_what_newcomers_miss_is_said():
    assert "fell, too, from -52 to -61 nats" in align_view.both_fall(records())
    assert align_view.both_fall(records()[:1]) == ""


def test_curves_and_groups_are_those_of_the_stage():
    sft, dpo, grpo = align_view.curves(records())
    assert [s["name"] for s in dpo["series"]] == ["better answer", "worse answer"]
    assert (
        dpo["series"][0]["d"].startswith("1,9,2,-51;")
        and grpo["series"][0]["d"].endswith(",1;")
        and sft["series"][0]["h"]
    )
    group = align_view.group(records())
    assert group["step"] == 12 and group["answers"][0] == {"text": "<b>a</b>", "reward": "1.00", "advantage": 0.7}
    assert [c["series"] for c in align_view.curves([])] == [[], [], []] and align_view.group([]) == {}


def test_the_table_tells_the_cost_against_sfts():
    table = align_view.table(records())
    labels = [c["label"] for c in table["columns"]]
    dpo = dict(zip(labels, table["rows"][1]["cells"], strict=True))
    assert dpo["against SFT"] == "2.0" and dpo["prefers the better answer"] == "90" and dpo["stage"] == "DPO"


def test_wins_have_an_interval_and_ties_are_no_wins():
    rows = [Row("P?", "") for _ in range(10)]
    plain, kind, rude = "It is.", "Thank you. It is.", "Go away. It is."
    found = path.wins("polite", rows, [plain] * 10, [kind] * 8 + [rude, plain])
    assert (found.won, found.lost, found.tied) == (8, 1, 1)
    assert found.low == pytest.approx(0.565, abs=0.005) and found.high == pytest.approx(
        0.980, abs=0.005
    )  # Wilson, 8 of 9
    tied = path.wins("polite", rows, [plain] * 10, [plain] * 10)
    assert (tied.decided, tied.low) == (0, None)
    cells = align_view.table(records(), {records()[1].run_id: found, records()[0].run_id: tied})["rows"]
    assert cells[1]["cells"][2] == "8 of 9, 1 tied (57 to 98 %)" and cells[0]["cells"][2] == "all 10 tied"
