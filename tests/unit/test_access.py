"""Who may build on which runs."""

import pytest

from experiments import access, specs
from experiments.specs import RunSpec, SpecError
from experiments.store import Store
from tests.unit.runs import put

PFEIFFER = {"model": "lab-nano", "weights": "w", "task": "storyteller", "method": "pfeiffer"}


@pytest.fixture
def store(tmp_path) -> Store:
    return Store(tmp_path / "lab.sqlite")


def build(**changes) -> RunSpec:
    return specs.build(RunSpec, {**PFEIFFER, **changes})


def fused(*runs: RunSpec, **changes) -> RunSpec:
    return build(method="adapter-fusion", settings={"runs": [run.run_id for run in runs]}, **changes)


def refused(store: Store, spec: RunSpec, owner: str = "ann") -> str:
    with pytest.raises(SpecError) as caught:
        access.require_sources(store, spec, owner)
    (problem,) = caught.value.problems
    assert problem.field == "settings.runs"
    return problem.sentence


def test_finished_runs_of_the_same_base_can_be_built_on(store):
    runs = build(), build(task="new-facts")
    for run in runs:
        put(store, run)
    access.require_sources(store, fused(*runs), "ann")
    access.require_sources(store, build(), "ann")  # a method that builds on none
    assert refused(store, fused(runs[0], build(seed=9))).endswith("is not a finished run of this lab.")
    assert refused(store, fused(*runs, weights="other")).endswith("was trained on another base model.")


def test_runs_on_own_rows_are_their_owners_and_stay_in_runs_on_own_rows(store):
    rows = {"task": "data:" + "0" * 32, "data": {"completion": "text"}}
    own = build(**rows), build(**rows, seed=1)
    for run in own:
        put(store, run)
    assert refused(store, fused(*own, **rows), "bob").startswith("There is no run")
    assert "on own rows" in refused(store, fused(*own))
    access.require_sources(store, fused(*own, **rows), "ann")


def test_a_stage_begins_with_runs_that_its_owner_may_use(store):
    rows = {"task": "data:" + "0" * 32, "data": {"completion": "text"}}
    first, own = build(method="lora"), build(method="lora", **rows)
    for run in (first, own):
        put(store, run, end=False)  # it may still be waiting
    access.require_stages(store, build(method="lora", after=first.run_id), "ann")

    def said(spec: RunSpec, owner: str = "ann") -> str:
        with pytest.raises(SpecError) as caught:
            access.require_stages(store, spec, owner)
        (problem,) = caught.value.problems
        return f"{problem.field}: {problem.sentence}"

    assert said(build(method="lora", after="0" * 12)) == "after: Run “000000000000” is not a run of this lab."
    assert "another base model" in said(build(method="lora", after=first.run_id, weights="other"))
    assert "on own rows" in said(build(method="lora", after=own.run_id))
    others = rows | {
        "task": "data:" + "1" * 32
    }  # as private, so votes on a run that was trained on votes can train it further
    access.require_stages(store, build(method="lora", after=own.run_id, **others), "ann")
    for private in (rows, others):
        assert said(build(method="lora", after=own.run_id, **private), "bob").startswith("after: There is no run")
    paid = {"objective": "grpo", "goal": {"judge": own.run_id}}
    assert said(build(method="lora", **paid)).startswith("goal.judge: ")
