"""What a run learns from: refused with the reason where it does not go together, and no other id for runs of before."""

from __future__ import annotations

import pytest

from experiments import methods, objectives, rewards, variants
from experiments.catalog.tasks import Pair, concise, polite
from experiments.catalog.tasks.base import GAINED, PREFERS, says
from experiments.differences import sentence
from experiments.rewards import Asked
from experiments.specs import Problem, RunSpec, SpecError, build
from tests.unit.test_specs import WHOLE

GOOD = {"model": "lab-nano", "task": "polite", "method": "lora", "objective": "dpo"}


def spec_of(**changes) -> RunSpec:
    return build(RunSpec, {**GOOD, **changes})


def problems(**changes) -> list[Problem]:
    with pytest.raises(SpecError) as caught:
        spec_of(**changes)
    return list(caught.value.problems)


def test_runs_of_before_keep_their_ids():
    assert build(RunSpec, {**WHOLE, "objective": "sft", "goal": {}}).run_id == build(RunSpec, WHOLE).run_id
    ids = {spec_of(objective=o.key, task="polite").run_id for o in objectives.OBJECTIVES}
    assert len(ids) == len(objectives.OBJECTIVES) and spec_of(goal={"beta": 0.2}).run_id not in ids
    assert RunSpec.model_validate_json(spec_of().model_dump_json()).run_id == spec_of().run_id
    assert spec_of(goal={"beta": "0.1"}).run_id == spec_of().run_id


@pytest.mark.parametrize(
    ("change", "field", "sentence"),
    [
        ({"objective": "ppo"}, "objective", "There is no objective “ppo”; there are "),
        ({"objective": "dpoo"}, "objective", "Did you mean “dpo”?"),
        ({"method": "few-shot"}, "objective", "Few-shot trains nothing, so there is nothing for"),
        ({"method": "adalora"}, "objective", "AdaLoRA needs a term beside the loss, which TRL's DPOTrainer does not add."),
        ({"method": "llama-adapter"}, "objective", "cannot read log-probabilities through LLaMA-Adapter"),
        ({"task": "pirate"}, "objective", "needs pairs of a better and a worse answer; “Talk like a pirate” has one answer"),
        ({"task": "data:" + "0" * 32, "data": {"completion": "text"}}, "data", "and a worse answer: say which column"),
        ({"task": "data:" + "0" * 32, "data": {"completion": "a", "label": "b"}}, "data", "say which column of your rows is rejected."),
        ({"goal": {"beta": 0}}, "goal.beta", "Beta must be more than 0."),
        ({"goal": {"beta": "much"}}, "goal.beta", "Beta must be a number."),
        ({"goal": {"gamma": 1}}, "goal.gamma", "There is no setting “gamma” here; there are beta, loss."),
        ({"goal": {"loss": "ppo"}}, "goal.loss", "Loss must be one of sigmoid, hinge, ipo, apo_zero, sigmoid_norm."),
        ({"objective": "grpo", "goal": {"reward": "shrt"}}, "goal.reward", "There is no reward “shrt”; there are "),
        ({"objective": "grpo", "goal": {"reward": "word"}}, "goal.word", "Name the word that the reward wants to hear."),
        ({"objective": "grpo", "goal": {"reward": "none"}}, "goal.judge", "somebody has to pay."),
        ({"objective": "grpo", "goal": {"judge": "../../etc"}}, "goal.judge", "is a run's id"),
        ({"objective": "sft", "goal": {"beta": 1}}, "goal.beta", "There is no setting “beta” here; there are none."),
    ],
)  # fmt: skip
def test_what_cannot_be_gets_a_sentence_at_its_field(change, field, sentence):
    (problem,) = problems(**change)
    assert problem.field == field and sentence in problem.sentence and problem.sentence.endswith((".", "?"))


@pytest.mark.parametrize("objective", objectives.OBJECTIVES, ids=lambda o: o.key)
def test_every_objective_takes_most_methods_and_says_why_not_the_others(objective):
    said = [objective.refusal(method, None) for method in methods.METHODS]
    assert len([s for s in said if not s]) >= 20 and all(s.endswith(".") for s in said if s)
    assert objective.summary.endswith(".") and objective.needs.endswith(".") and objective.when.endswith(".")
    assert objective.paper_url.startswith("https://") and all(m.endswith(".") for m in objective.measures.values())


def test_a_change_of_objective_brings_its_own_settings_and_rate():
    known = spec_of(goal={"beta": 0.3})
    changed = variants.changed(known, {"objective": "sft"})
    assert changed.goal.model_dump() == {} and changed.train.learning_rate == 2 * known.train.learning_rate
    assert variants.changed(known, {"goal.beta": 0.5}).goal.model_dump()["beta"] == 0.5
    assert sentence([known, spec_of(goal={"beta": 0.5})]) == "Only beta: 0.3 → 0.5."


@pytest.mark.parametrize("task", [polite.TASK, concise.TASK], ids=lambda t: t.key)
def test_pairs_are_enough_and_differ_in_one_thing(task):
    split = task.split()
    assert len(split.train) >= 150 and len(split.held_out) >= 60
    for row in (*split.train, *split.held_out):
        assert isinstance(row, Pair) and row.completion != row.rejected and row.rejected.strip()
        assert says(row.completion, row.facts) and says(row.rejected, row.facts)  # both are right
    assert {PREFERS, GAINED} <= set(task.metrics)


def test_the_word_lists_tell_the_tones_apart():
    split = polite.load()
    for row in (*split.train, *split.held_out):
        assert polite.tone(row.completion) == "kind" and polite.tone(row.rejected) == "rude"
    assert polite.tone("The door is green.") == "plain"
    trained = " ".join(r.completion + r.rejected for r in split.train)
    new = [w for words in (*polite.NEW_KIND, *polite.NEW_RUDE) for w in words]
    assert not [w for w in new if w in trained]
    told = [any(w in r.completion for w in new) for r in split.held_out]
    assert 0.2 < sum(told) / len(told) < 0.5


@pytest.mark.parametrize(
    ("rule", "asked", "paid"),
    [
        ("short", {"answer": "one two three four", "words": 2}, 0.5),
        ("short", {"answer": ""}, 1.0),
        ("question", {"answer": "Is it? "}, 1.0),
        ("question", {"answer": "It is."}, 0.0),
        ("word", {"answer": "A Boat, he said.", "word": "boat"}, 1.0),
        ("word", {"answer": "boats", "word": "boat"}, 0.0),
        ("polite", {"answer": "Thank you, fool."}, -1.0),
        ("polite", {"answer": "With pleasure."}, 1.0),
        ("json", {"answer": '{"a": 1}'}, 1.0),
        ("json", {"answer": "17"}, 0.0),
        ("json", {"answer": "[" * 10_000}, 0.0),
        ("fact", {"answer": "At nine.", "facts": ("nine",)}, 1.0),
    ],
)
def test_a_rule_pays_what_it_says(rule, asked, paid):
    assert rewards.find(rule).pay(Asked(prompt="P?", **asked)) == paid


def test_the_rejected_answers_are_long_and_the_better_ones_short():
    rows = concise.load().held_out
    assert concise.score(rows, [r.rejected for r in rows])["short"] == 0
    assert concise.score(rows, [r.completion for r in rows])["words"] < 10
