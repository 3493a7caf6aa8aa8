"""Objectives on TRL's trainers: every number of the events is the trainer's own, and all else is as for every run."""

from __future__ import annotations

import copy
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments import events, methods, objectives
from experiments.catalog import tasks
from experiments.catalog.tasks import Split, polite
from experiments.engine import alignment, preference, trainers, training
from experiments.engine.checkpoints import Checkpoints
from experiments.engine.models import fresh
from experiments.specs import RunSpec, build
from tests.engine.conftest import losses, run_spec
from tests.engine.test_training import run, timeless


def few_pairs(progress: Any) -> Split:
    """Real pairs, few enough for a test."""
    whole = polite.load(progress)
    return Split(whole.train[:12], whole.held_out[:6])


PAIRS = replace(
    polite.TASK, key="pairs", load=few_pairs, scored_rows=2, max_new_tokens=4, probes=polite.TASK.probes[:1]
)


@pytest.fixture(autouse=True)
def pairs(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The task of few pairs is in the catalogue."""
    monkeypatch.setattr(tasks, "TASKS", (*tasks.TASKS, PAIRS))


def spec_of(objective: str = "dpo", method: str = "lora", goal: dict[str, Any] | None = None, **train: Any) -> RunSpec:
    known = run_spec(method).model_dump() | {"task": "pairs", "objective": objective, "goal": goal or {}}
    return build(RunSpec, {**known, "train": {"steps": 4, "batch_size": 2, "learning_rate": 1e-2, **train}})


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The trainers that a run made."""
    found: list[Any] = []
    build = trainers.build

    def kept(*args: Any) -> Any:
        found.append(build(*args))
        return found[-1]

    monkeypatch.setattr(trainers, "build", kept)
    return found


def logged(trainer: Any, name: str) -> list[float]:
    return [log[name] for log in trainer.state.log_history if "loss" in log]


def test_what_is_told_is_what_the_trainer_logs(base, made, tmp_path, weights):
    happened = run(spec_of(), base, tmp_path / "adapter")
    (trainer,) = made
    assert isinstance(happened[-1], events.Finished) and type(trainer).__name__ == "DPOTrainer"
    assert losses(happened) == logged(trainer, "loss") and len(losses(happened)) == 4
    steps = [e for e in happened if isinstance(e, events.Stepped)]
    assert [e.gradient_norm for e in steps] == logged(trainer, "grad_norm")
    for theirs, ours in alignment.NAMES.items():
        if ours in objectives.find("dpo").measures:
            assert [(e.measures or {})[ours] for e in steps] == logged(trainer, theirs)
    assert steps[0].measures["margin"] == 0 and steps[-1].measures["margin"] > 0.1  # it starts at the reference
    assert [e.learning_rate for e in steps] == pytest.approx([1e-2] * 4)
    assert weights()


def test_memory_is_measured_at_the_longest_step(base, made, tmp_path):
    spec = spec_of(steps=5)
    run(spec, base, tmp_path / "adapter")
    order = trainers.Order(spec, base, PAIRS, None, None, "")  # type: ignore[arg-type]
    train = few_pairs(None).train
    tokens = [base.tokenizer(p.completion)["input_ids"] + base.tokenizer(p.rejected)["input_ids"] for p in train]
    steps = [max(len(tokens[i]) for i in batch) for batch in order.batches(len(train), 2)]
    found = alignment.longest(made[0].train_dataset, order)
    assert len(made[0].train_dataset) == 10 and steps[found] >= max(steps) - 12  # prompts count, too
    callback = next(c for c in made[0].callback_handler.callbacks if isinstance(c, alignment.Telling))
    assert callback.order.trial.meter.largest["backward"] == (2 if found else 1)


def test_the_reference_is_the_base_with_the_adapter_off(base, made, tmp_path):
    """Losses equal to those of a DPOTrainer that makes its own adapter and switches it off for the reference."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import set_seed
    from trl import DPOConfig, DPOTrainer

    spec = spec_of()
    ours = losses(run(spec, base, tmp_path / "adapter"))
    assert {p.data_ptr() for p in made[0].ref_model.parameters()} <= {p.data_ptr() for p in base.model.parameters()}

    def turns(pair: Any) -> dict[str, Any]:
        said = {"prompt": pair.prompt, "chosen": pair.completion, "rejected": pair.rejected}
        roles = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}
        return {part: [{"role": roles[part], "content": text}] for part, text in said.items()}

    train = few_pairs(None).train
    order = trainers.Order(spec, base, PAIRS, None, None, "")  # type: ignore[arg-type]
    rows = [turns(train[i]) for batch in order.batches(len(train), 2) for i in batch]
    config = DPOConfig(
        output_dir=str(tmp_path / "trl"), max_steps=4, per_device_train_batch_size=2, learning_rate=1e-2,
        lr_scheduler_type="constant", optim="adamw_torch", weight_decay=0.0, bf16=False, gradient_checkpointing=False, use_cpu=True,
        report_to="none", save_strategy="no", disable_tqdm=True, seed=0, logging_steps=1, train_sampling_strategy="sequential",
    )  # fmt: skip
    adapter = LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules="all-linear")
    set_seed(0)  # TRL 1.14 makes the adapter before it sets the seed
    theirs = DPOTrainer(
        model=fresh(base), args=config, train_dataset=Dataset.from_list(rows), peft_config=adapter,
        processing_class=copy.deepcopy(base.tokenizer),
    )  # fmt: skip
    assert theirs.ref_model is None
    theirs.train()
    assert ours == pytest.approx(logged(theirs, "loss"), abs=1e-5)


@pytest.mark.parametrize("method", ["lora", "full"])
def test_trls_supervised_curve_lies_on_our_own(method, base, tmp_path):
    train = {"steps": 6, "learning_rate": 1e-3, "schedule": "cosine", "warmup": 2, "accumulate": 2}
    ours = losses(run(spec_of("sft", method, **train), base, tmp_path / "ours"))
    theirs = losses(run(spec_of("sft-trl", method, **train), base, tmp_path / "theirs"))
    assert theirs == pytest.approx(ours, abs=1e-4) and max(ours) - min(ours) > 0.01


@pytest.mark.parametrize("objective", [o.key for o in objectives.OBJECTIVES if o.is_trls])
def test_broken_off_and_gone_on_is_the_whole_run(objective, base, tmp_path):
    keep = Checkpoints(tmp_path / "checkpoints")
    keep.every_s = 0.0
    spec = spec_of(objective, goal={"group": 2} if objective == "grpo" else {})
    whole = run(spec, base, tmp_path / "whole")
    half = training.run(spec, base, tmp_path / "half", lambda: None, keep)
    for event in half:
        if isinstance(event, events.Stepped) and event.step == 3:
            half.close()
            break
    rest = list(training.run(spec, base, tmp_path / "rest", lambda: None, keep))
    assert rest[0].resumed_at == 2 and losses(rest) == losses(whole)
    told = [[{k: v for k, v in e.items() if k != "resumed_at"} for e in timeless(found)] for found in (rest, whole)]
    assert sorted(map(str, told[0])) == sorted(map(str, told[1]))


def test_stop_acts_within_a_step_and_leaves_no_thread(base, tmp_path):
    asked = iter(range(10**6))
    seen: list[events.Event] = []

    def between() -> None:
        next(asked)
        if sum(isinstance(e, events.Stepped) for e in seen) == 2:
            raise training.Unwanted

    for event in training.run(spec_of(steps=50), base, tmp_path / "adapter", between):
        seen.append(event)
    assert isinstance(seen[-1], events.Cancelled) and seen[-1].step == 2
    assert not [t for t in threading.enumerate() if t.name == "trainer"]


def test_two_runs_in_turn_are_the_runs_they_would_be_alone(base, tmp_path):
    specs = [spec_of(), spec_of("sft-trl", goal={})]
    alone = [losses(run(spec, base, tmp_path / f"alone{i}")) for i, spec in enumerate(specs)]
    runs = [training.run(spec, base, tmp_path / f"raced{i}") for i, spec in enumerate(specs)]
    raced: list[list[events.Event]] = [[], []]
    while any(runs):
        for i, one in enumerate(runs):
            event = next(one, None) if one else None
            if event is None:
                runs[i] = None  # type: ignore[call-overload]
            else:
                raced[i].append(event)
    assert [losses(found) for found in raced] == alone


@pytest.mark.parametrize("method", ["full", "prefix", "p-tuning", "mam"])
def test_a_method_of_every_kind_learns_a_preference(method, base, tmp_path, weights):
    rate = methods.find(method).learning_rate(methods.find(method).Settings())
    happened = run(spec_of("dpo", method, steps=3, learning_rate=rate), base, tmp_path / "adapter")
    assert isinstance(happened[-1], events.Finished), happened[-1]
    told = losses(happened)
    assert len(set(told)) == 3 and None not in told and weights()
    (look,) = [e for e in happened if isinstance(e, events.Evaluated) and e.metrics and e.subject == "tuned"]
    assert {"prefers", "gained"} <= look.metrics.keys()


def test_a_reward_model_scores_what_it_is_shown_and_comes_back_as_it_was(base, tmp_path, weights):
    from experiments.engine import adapters, scorer

    happened = run(spec_of("reward", steps=12), base, tmp_path / "judge")
    looks = [e for e in happened if isinstance(e, events.Evaluated)]
    assert losses(happened)[-1] < losses(happened)[0] and 0 <= looks[-1].metrics["prefers"] <= 100
    assert 0 <= looks[-1].metrics["prefers_longer"] <= 100 and looks[-1].metrics["longer_is_better"] > 50
    assert -1 <= looks[-1].metrics["length_bias"] <= 1 and not [e for e in happened if isinstance(e, events.Sampled)]
    judge = adapters.load(base, tmp_path / "judge")
    again = scorer.look(judge, base, PAIRS, 12)
    assert again.held_out_loss == pytest.approx(looks[-1].held_out_loss, abs=1e-5) and weights()
    rows = [few_pairs(None).train[0]]
    (alone,) = scorer.scores(judge, base, rows, PAIRS)
    among = scorer.scores(judge, base, [*rows, *few_pairs(None).held_out], PAIRS)
    assert float(among[0]) == pytest.approx(float(alone), abs=1e-5)  # whatever else is in the batch


def test_a_run_begins_with_another_ones_adapter_and_is_held_against_it(base, tmp_path):
    from experiments.engine import adapters

    first = spec_of("sft", steps=6)
    run(first, base, tmp_path / "first")
    spec = build(RunSpec, {**spec_of().model_dump(), "after": first.run_id})
    tuned = list(
        training.run(spec, base, tmp_path / "then", tuned=lambda run_id: adapters.load(base, tmp_path / "first"))
    )
    steps = [e for e in tuned if isinstance(e, events.Stepped)]
    assert isinstance(tuned[-1], events.Finished) and steps[0].measures["margin"] == pytest.approx(0, abs=1e-5)
    fresh_start = [e for e in run(spec_of(), base, tmp_path / "fresh") if isinstance(e, events.Stepped)]
    assert steps[0].measures["chosen_logp"] > fresh_start[0].measures["chosen_logp"] + 1  # imitation came first
    other = build(RunSpec, {**spec.model_dump(), "settings": {"rank": 2}})
    with pytest.raises(ValueError, match="has another method or other settings"):
        list(
            training.run(other, base, tmp_path / "other", tuned=lambda run_id: adapters.load(base, tmp_path / "first"))
        )


def test_what_is_tried_and_paid_is_told(base, made, tmp_path, weights):
    happened = run(
        spec_of("grpo", goal={"reward": "short", "group": 4, "beta": 0.1}, steps=2), base, tmp_path / "adapter"
    )
    assert isinstance(happened[-1], events.Finished), happened[-1]
    groups = [e for e in happened if isinstance(e, events.Grouped)]
    steps = [e for e in happened if isinstance(e, events.Stepped)]
    assert [g.step for g in groups] == [1, 2] and all(len(g.answers) == len(g.advantages) == 4 for g in groups)
    assert losses(happened) == logged(made[0], "loss")
    assert [s.measures["reward"] for s in steps] == logged(made[0], "reward")
    assert {"reward", "reward_std", "kl", "length", "cut"} <= steps[0].measures.keys() and weights()
    assert all(s.measures["length"] <= PAIRS.max_new_tokens for s in steps)  # however long it would go on
    assert not any("ref" in file.name for file in (tmp_path / "adapter").iterdir())


def test_a_reward_model_pays_alone_and_beside_a_rule(base, made, tmp_path, weights):
    from experiments import rewards
    from experiments.catalog.tasks import Row
    from experiments.engine import adapters, scorer
    from experiments.rewards import Asked

    judge = spec_of("reward", steps=3)
    run(judge, base, tmp_path / "judge")
    scored = adapters.load(base, tmp_path / "judge")
    for rule, share in (("none", 1.0), ("short", 0.25)):
        goal = {"reward": rule, "judge": judge.run_id, "judge_weight": 0.25, "group": 3}
        paid = spec_of("grpo", goal=goal, steps=2, batch_size=1)
        told = list(training.run(paid, base, tmp_path / rule, tuned={judge.run_id: scored}.__getitem__))
        assert isinstance(told[-1], events.Finished), told[-1]
        (group, _) = [e for e in told if isinstance(e, events.Grouped)]
        scores = scorer.scores(scored, base, [Row(group.prompt, said) for said in group.answers], PAIRS).tolist()
        by_rule = [rewards.find("short").pay(Asked(group.prompt, said, words=2)) for said in group.answers]
        assert group.rewards == pytest.approx(
            [share * score + (1 - share) * value for score, value in zip(scores, by_rule, strict=True)], abs=1e-5
        )
    assert weights() and len(made[-1].reward_funcs) == 2 and made[-1].reward_weights.tolist() == [0.75, 0.25]


def test_a_payer_that_is_no_reward_model_or_gives_no_number_ends_the_run(base, tmp_path, monkeypatch):
    import torch

    from experiments.engine import adapters, scorer

    goal = {"reward": "none", "judge": "0" * 12, "group": 2}
    spec = spec_of("grpo", goal=goal, steps=1, batch_size=1)
    with pytest.raises(ValueError, match="is no reward model"):
        list(training.run(spec, base, tmp_path / "a", tuned=lambda _: base.model))
    run(spec_of("reward", steps=1), base, tmp_path / "judge")
    judge = adapters.load(base, tmp_path / "judge")
    monkeypatch.setattr(scorer, "scores", lambda model, base, rows, task: torch.full((len(rows),), float("nan")))
    with pytest.raises(ValueError, match="gave an answer no number"):
        list(training.run(spec, base, tmp_path / "b", tuned=lambda _: judge))


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ({"method": "p-tuning"}, "Prefer answers \\(DPO\\) of a soft prompt"),
        ({"objective": "grpo", "goal": {"reward": "none", "judge": "0" * 12, "group": 2}}, "Payment by a reward model"),
    ],
    ids=["soft", "judge"],
)
def test_what_the_last_trl_for_python_310_does_wrong_is_refused(asked, what, base, tmp_path, monkeypatch):
    monkeypatch.setattr(trainers, "version", lambda _: "1.14.2")
    with pytest.raises(ValueError, match=f"^{what} needs TRL 1.15, which needs Python 3.11; here is TRL 1.14.2.$"):
        list(training.run(spec_of(**asked), base, tmp_path / "a", tuned=lambda _: base.model))


def test_from_the_command_line_after_another_run_and_paid_by_a_reward_model(own_home, tiny, monkeypatch):
    import json

    from typer.testing import CliRunner

    from experiments.__main__ import app

    monkeypatch.setenv("LAB_MODELS", f"tiny={tiny}")

    def answered(*words: str) -> dict[str, Any]:
        done = CliRunner().invoke(app, [*words, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    def trained(objective: str, *words: str) -> dict[str, Any]:
        asked = [
            "run",
            "--model",
            "tiny",
            "--task",
            "pairs",
            "--steps",
            "2",
            "--batch-size",
            "2",
            "--objective",
            objective,
        ]
        return answered(*asked, *words)

    first, judge = trained("sft"), trained("reward")
    dpo = trained("dpo", "--after", first["run_id"])
    assert dpo["status"] == "finished" and dpo["spec"]["after"] == first["run_id"]
    assert dpo["curve"][0]["margin"] == pytest.approx(0, abs=1e-5)  # held against the run it begins with
    paid = ["--goal", "reward=none", "--goal", f"judge={judge['run_id']}", "--goal", "group=2"]
    grpo = trained("grpo", "--after", dpo["run_id"], *paid)
    assert grpo["status"] == "finished" and len(grpo["curve"]) == 2 and "reward" in grpo["curve"][0]
    asked = [
        "reward",
        "--run",
        judge["run_id"],
        "--prompt",
        "P?",
        "--answer",
        "Gladly, at nine.",
        "--answer",
        "Go away.",
    ]
    scored = answered(*asked)["answers"]
    assert [one["answer"] for one in scored] == ["Gladly, at nine.", "Go away."]
    assert scored[0]["score"] != scored[1]["score"]
    for wrong, sentence in (
        (["--objective", "grpo", "--goal", f"judge={first['run_id']}"], "is no reward model"),
        (["--objective", "dpo", "--after", judge["run_id"]], "gives no answers"),
        (["--objective", "dpo", "--after", "0123456789ab"], "is not a run of this lab"),
    ):
        done = CliRunner().invoke(app, ["run", "--model", "tiny", "--task", "pairs", *wrong, "--json"])
        assert done.exit_code == 2 and sentence in done.stdout


@pytest.mark.parametrize(
    ("pay", "cause"),
    [
        (lambda asked: 1.0, "All answers of the first 5 steps score the same: nothing to learn."),
        (lambda asked: float("nan"), "gave an answer no number"),
        (lambda asked: 1 / 0, "failed on an answer: division by zero"),
    ],
    ids=["constant", "nan", "throws"],
)
def test_a_reward_that_pays_nothing_ends_the_run_with_a_sentence(pay, cause, base, tmp_path, monkeypatch):
    from experiments import rewards

    broken = replace(rewards.find("short"), pay=pay)
    monkeypatch.setattr(rewards, "RULES", (broken, *rewards.RULES[1:]))
    with pytest.raises(ValueError, match=cause):
        run(spec_of("grpo", goal={"group": 2}, steps=8, batch_size=1), base, tmp_path / "adapter")
    assert not [t for t in threading.enumerate() if t.name == "trainer"]


def test_log_probabilities_are_those_of_the_model_itself(base):
    import torch

    row = few_pairs(None).train[0]
    (found,) = preference.log_probabilities(base.model, base, [row], PAIRS)
    tokenizer, said = base.tokenizer, [{"role": "user", "content": row.prompt}]
    prompt = tokenizer.apply_chat_template(said, add_generation_prompt=True)["input_ids"]
    whole = tokenizer.apply_chat_template([*said, {"role": "assistant", "content": row.completion}])["input_ids"]
    with torch.no_grad():
        logits = base.model(input_ids=torch.tensor([whole])).logits[0].double().log_softmax(-1)
    wanted = sum(float(logits[i - 1, whole[i]]) for i in range(len(prompt), len(whole)))
    assert float(found) == pytest.approx(wanted, rel=1e-5)
