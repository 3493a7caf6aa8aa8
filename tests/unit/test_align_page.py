"""The Align tab from records alone: what each stage brought, who wins by the rule and how sure that is, what was tried and paid; and
what its form asks for."""

from __future__ import annotations

import contextlib

import gradio as gr
import pytest
from scipy.stats import binomtest

from experiments import analysis, calibrated, estimates, events, objectives, path, shelf, specs
from experiments.catalog.tasks import Row
from experiments.specs import RunSpec
from experiments.store import Key
from experiments.store import Row as Stored
from lab_app import align_curves, align_form, align_live, align_score, align_view, visitor
from lab_app.lab import Lab
from lab_app.tabs import align

ABOUT = {"model": "lab-nano", "task": "polite", "method": "lora"}
MEASURES = {
    "dpo": lambda i: {"chosen_logp": -50.0 - i, "rejected_logp": -50.0 - 3 * i, "accuracy": 1.0},
    "kto": lambda i: {"chosen_logp": -50.0 + i, "rejected_logp": -50.0 - i, "kl": 0.1},
    "reward": lambda i: {"accuracy": i / 12, "margin": 0.1 * i, "mean_reward": 0.0},
    "grpo": lambda i: {"reward": i / 12, "reward_std": 0.2, "length": 8.0, "cut": 0.75},
}
JUDGED = {"prefers": 90.0, "length_bias": 0.83, "prefers_longer": 75.0, "longer_is_better": 60.0}


def as_it_is(spec: RunSpec) -> RunSpec:
    return spec


def stages(wanted=path.STAGES, **goals) -> list[RunSpec]:
    return list(path.stages(ABOUT, as_it_is, goals, wanted=wanted))


def told(spec: RunSpec, shift: float = 0.0) -> list[events.Event]:
    """What a run of this spec would tell: DPO lowers both probabilities, GRPO is paid more and more."""
    found: list[events.Event] = [
        events.Started(trainable=1, total=9, rows=9, device="cpu", threads=1, resting_mb=1.0, versions={})
    ]
    for i in range(1, 13):
        pace = 2 if spec.objective == "dpo" else 1
        step = events.Stepped(step=i, loss=1 / i + shift * i, learning_rate=1e-3, tokens=9 * i, train_s=pace * i)
        found.append(step.model_copy(update={"measures": MEASURES.get(spec.objective, lambda i: None)(i)}))
    if spec.objective == "grpo":
        group = {"prompt": "P?", "answers": ("<b>a</b>", ""), "rewards": (1.0, 0.0), "advantages": (0.7, -0.7)}
        found.append(events.Grouped(step=12, **group))
    metrics = JUDGED if spec.objective == "reward" else {"kind": 80.0, "prefers": 90.0}
    found.append(events.Evaluated(subject="tuned", step=12, held_out_loss=1.0, metrics=metrics))
    peak_mb = 130.0 if spec.objective == "dpo" else 100.0
    return [*found, events.Finished(elapsed_s=9, train_s=8, peak_mb=peak_mb)]


def records(wanted=path.STAGES) -> list[analysis.Record]:
    rows = ((spec, [Stored(i, 0.0, event) for i, event in enumerate(told(spec))]) for spec in stages(wanted))
    return [analysis.fold(analysis.Record(spec, spec.run_id), each) for spec, each in rows]


def test_each_stage_begins_with_the_one_before():
    sft, dpo, grpo = stages(dpo={"beta": 0.3})
    assert [s.objective for s in (sft, dpo, grpo)] == ["sft", "dpo", "grpo"]
    assert (sft.after, dpo.after, grpo.after) == ("", sft.run_id, dpo.run_id) and dpo.goal.model_dump()["beta"] == 0.3
    known = {spec.run_id: spec for spec in (sft, dpo, grpo)}
    assert path.chain(known.get, grpo.run_id) == [sft.run_id, dpo.run_id, grpo.run_id]
    assert path.chain({grpo.run_id: grpo}.get, grpo.run_id) == [grpo.run_id]
    with pytest.raises(specs.SpecError) as caught:
        stages(grpo={"reward": "word"})
    assert [p.field for p in caught.value.problems] == ["goal.word"]


def test_what_newcomers_miss_is_said():
    assert "fell, too, from -52 to -61 nats" in align_curves.both_fall(records())
    assert align_curves.both_fall(records()[:1]) == ""
    assert "from -48 to -39 nats" in align_curves.both_fall(records(("kto",)))


def test_curves_and_groups_are_those_of_the_stage():
    sft, dpo, grpo = align_curves.curves(records())
    assert [s["name"] for s in dpo["series"]] == ["better answer", "worse answer"]
    assert (
        dpo["series"][0]["d"].startswith("1,9,2,-51;")
        and grpo["series"][0]["d"].endswith(",1;")
        and sft["series"][0]["h"]
    )
    group = align_view.group(records())
    assert group["step"] == 12 and group["answers"][0] == {"text": "<b>a</b>", "reward": "1.00", "advantage": 0.7}
    assert [c["series"] for c in align_curves.curves([])] == [[], [], []] and align_view.group([]) == {}


@pytest.mark.parametrize("objective", [o.key for o in objectives.OBJECTIVES])
def test_an_objective_alone_draws_what_it_tells(objective):
    found = align_curves.curves(records((objective,)) if objective in path.LENGTHS else [])
    assert len(found) == align_curves.SHOWN
    for chart in align_curves.CHARTS.get(objective, ()):
        assert set(chart.lines) <= {"loss", *objectives.find(objective).measures}
    if objective in MEASURES:
        assert all(series["d"] for series in found[0]["series"]) and found[1]["series"]


def test_the_table_tells_the_cost_against_sfts():
    table = align_view.table(records())
    labels = [c["label"] + (c["unit"] if c["label"] == "against SFT" else "") for c in table["columns"]]
    dpo = dict(zip(labels, table["rows"][1]["cells"], strict=True))
    assert dpo["against SFT×"] == "2.0" and dpo["against SFT× memory"] == "1.30" and dpo["stage"] == "DPO"
    assert dpo["prefers the better answer"] == "90"


@pytest.mark.parametrize(("won", "tried"), [(0, 1), (1, 1), (0, 9), (7, 9), (30, 60), (60, 60), (1, 1000)])
def test_the_interval_of_a_share_is_scipys_wilson(won, tried):
    expected = binomtest(won, tried).proportion_ci(method="wilson")
    assert path.wilson(won, tried) == pytest.approx((expected.low, expected.high), abs=1e-12)


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


def test_a_reward_model_is_said_to_like_long_answers():
    accuracy, bias = align_view.judged(records(("reward",))[0])
    assert accuracy.startswith("The reward model scores the better answer of 90 %")
    assert bias.startswith("It likes long answers") and "+0.83" in bias and "75 % of the pairs" in bias
    assert not align_view.answering(records(("reward",))) and align_live.judge_of(records(("reward",)))
    table = align_score.table([(-1.0, "Go away."), (0.5, "At nine, gladly.")])
    assert [row["cells"] for row in table["rows"]] == [["+0.500", "3", "At nine, gladly."], ["-1.000", "2", "Go away."]]


def test_what_was_paid_by_whom_and_what_did_not_end_is_said():
    grpo = records()[-1]
    said = align_view.sentences([grpo])
    assert any(line.startswith("75 % of the answers tried at last did not end") for line in said)
    paid = specs.build(RunSpec, {**grpo.spec.model_dump(), "goal": {"judge": "0" * 12, "judge_weight": 0.25}})
    assert align_view.payer(paid).endswith("(25 %) and the rule “Shorter than so many words” (75 %).")
    assert "ends" not in align_view.payer(grpo.spec) and align_view.cheat("none").startswith(
        "A reward model alone pays."
    )


def test_trls_curve_is_drawn_over_ours_with_the_largest_difference():
    (ours,) = records(("sft",))
    spec = align_live.repetition(ours)
    assert (spec.objective, spec.train, spec.settings) == ("sft-trl", ours.spec.train, ours.spec.settings)
    rows = [Stored(i, 0.0, event) for i, event in enumerate(told(spec, shift=1e-4))]
    both = [ours, analysis.fold(analysis.Record(spec, spec.run_id), rows)]
    assert [s["name"] for s in align_curves.curves(both)[0]["series"]] == ["training loss", "TRL's trainer"]
    said = "of 12 steps the largest difference of a step's loss is 0.0012 nats, at step 12."
    assert align_curves.same_curve(both).endswith(said) and align_curves.same_curve([ours]) == ""
    assert align_live.can_repeat([ours]) is ours and align_live.can_repeat(both) is None
    assert align_view.answering(both) == [ours]


# The form


@pytest.fixture
def lab(home) -> Lab:
    from experiments.jobs import Jobs
    from experiments.store import Store

    class Idle:
        def run(self, job) -> None: ...
        def warm(self, model: str) -> None: ...
        def close(self) -> None: ...

    store = Store(home / "lab.sqlite")
    lab = Lab(home, store, Jobs(store, Idle()))
    yield lab
    lab.jobs.close()


@pytest.fixture
def form():
    with gr.Blocks():
        return align_form.build()


def typed(form, **changes):
    """The form's values at their defaults, with some places changed: `grpo__judge`, `plan`."""
    values = {w: w.value for w in form.widgets}
    for place, value in changes.items():
        values[form.widget(place.replace("__", ".")) if "__" in place else getattr(form, place)] = value
    return values


def kept(lab: Lab, spec: RunSpec, owner: str = "ann") -> Key:
    """A finished run of this visitor, with a folder where its adapter would be."""
    key, _ = lab.store.open(spec.run_id, "train", spec.model_dump_json(), owner)
    for event in told(spec):
        lab.store.append(key, event)
    shelf.adapter_folder(key, lab.home).mkdir(parents=True)
    return key


def test_the_form_asks_for_the_path_or_for_one_objective(form):
    def order(**changes):
        return align_form.order(form, typed(form, **changes), {}.get, as_it_is)

    assert [s.objective for s in order()] == ["sft", "dpo", "grpo"]
    assert [s.train.steps for s in order(dpo__steps=7)] == [40, 7, 20]
    (kto,) = order(plan="kto", kto__desirable_weight="2", kto__batch_size=6)
    assert kto.goal.model_dump()["desirable_weight"] == 2 and kto.train.batch_size == 6 and kto.after == ""
    (dpo,) = order(plan="dpo", dpo__loss="ipo")
    assert dpo.goal.model_dump()["loss"] == "ipo"
    wrong = [
        ({"dpo__beta": "0"}, "dpo.beta"),
        ({"grpo__reward": "none"}, "grpo.judge"),
        ({"plan": "reward", "reward__steps": -1}, "reward.steps"),
        ({"plan": "kto", "after": "0" * 12}, "after"),
    ]
    for changes, place in wrong:
        with pytest.raises(specs.SpecError) as caught:
            order(**changes)
        assert [p.field for p in caught.value.problems] == [place]
    assert align_form.follow(form, "kto")[form.columns["kto"]]["visible"] is True
    assert align_form.follow(form, "kto")[form.columns["sft"]]["visible"] is False


def test_a_run_to_begin_with_brings_its_method_and_a_reward_model_is_offered_as_payer(lab, form):
    first = specs.build(RunSpec, {**ABOUT, "settings": {"rank": 2}})
    judge = specs.build(RunSpec, {**ABOUT, "objective": "reward"})
    for spec in (first, judge):
        kept(lab, spec)
    begins, judges = align_form.choices(lab, "lab-nano", "ann")
    assert [key for _, key in begins] == ["", first.run_id] and [key for _, key in judges] == ["", judge.run_id]
    assert align_form.choices(lab, "lab-nano", "bob") == align_form.choices(lab, "other", "ann")  # nothing of others
    known = {first.run_id: first}
    (dpo,) = align_form.order(form, typed(form, plan="dpo", after=first.run_id), known.get, as_it_is)
    assert dpo.after == first.run_id and dpo.settings.model_dump()["rank"] == 2
    (grpo,) = align_form.order(
        form, typed(form, plan="grpo", grpo__judge=judge.run_id, grpo__reward="none"), {}.get, as_it_is
    )
    assert grpo.goal.model_dump()["judge"] == judge.run_id
    offered = align_form.offered(lab, form, typed(form, after="0" * 12, grpo__judge=judge.run_id), "ann")
    assert offered[form.after]["value"] == "" and offered[form.widget("grpo.judge")]["value"] == judge.run_id


def test_what_it_takes_is_said_before_the_start(lab, form):
    found = align_form.order(form, typed(form), {}.get, as_it_is)
    unknown, memory = align_form.costs(lab, found)
    assert unknown.endswith("after the first run of this model here.") and memory.endswith("MB of memory, in GRPO.")
    weights = estimates.ready_weights(estimates.models.find("lab-nano"))
    for spec in found:
        known = spec.model_copy(update={"weights": weights})
        calibrated.keep(lab.store, known, calibrated.Calibration(a_step_s=0.5, around_s=10, peak_mb=700))
    assert align_form.costs(lab, found) == [
        "About 80 s: SFT 30 s, DPO 30 s, GRPO 20 s (from two steps of it here).",
        "At its highest about 700 MB of memory, in SFT.",
    ]


def test_a_link_opens_a_path_and_the_newest_is_found_again(lab):
    found = stages()
    for spec in found:
        kept(lab, spec)
    ids = [spec.run_id for spec in found]
    assert align_live.newest(lab, "ann") == ids and align_live.newest(lab, "") == []
    assert visitor.path_link(ids) == f"?path={','.join(ids)}"

    class Request:
        query_params = {"path": f"{ids[0]},../x,{ids[1]}"}

    assert visitor.asked_path(Request()) == ids[:2]
    assert align.first(lab, "bob", ids[:2])["runs"] == ids[:2]  # anybody may look
    assert align.first(lab, "ann", ["0" * 12]) == {"runs": [], "notes": ["This lab has no path of that address."]}
    with contextlib.closing(align_live.draw(lab, {"runs": ids[:1], "notes": []}, "bob", lambda: False)) as frames:
        assert list(frames) == []
