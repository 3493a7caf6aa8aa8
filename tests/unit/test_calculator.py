"""The calculator's answers: any state is answered or told what is wrong, and every number is the command line's."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import methods
from experiments.accounting import machines, presets, trainable
from lab_app import calculator_form
from lab_app.calculator import answer
from lab_app.calculator_costs import Speed

WORDS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.lists(st.integers()))
STATES = st.recursive(WORDS, lambda inner: st.dictionaries(st.text(max_size=8), inner, max_size=3))
NAMES = ("arch", "config", "shape", "method", "settings", "load", "plan", "machine")


def test_an_empty_state_is_a_whole_answer():
    found = answer({})
    assert found["problems"] == {} and found["count"]["trainable"] == 2_442_240
    parts = sum(p["bytes"] for p in found["memory"]["parts"])
    assert found["memory"]["total"] == parts - 9_768_960  # the gradients of LoRA take room that is unused anyway
    assert "Up to 192" in found["quick"][0] and json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("key", ["gpt2", "pythia-70m", "llama-3.2-1b", "bert-base"])
@pytest.mark.parametrize("method", methods.METHODS, ids=lambda m: m.key)
def test_every_method_on_every_preset(method, key):
    found = answer({"arch": key, "method": method.key, "machine": "h100"})
    arch = presets.arch(key)
    if any(method.check(arch, method.Settings())):
        assert found["problems"]
        return
    assert found["count"]["trainable"] == trainable.count(arch, method, method.Settings()).trainable
    assert len(found["methods"]["rows"]) == len(methods.METHODS)


@given(st.fixed_dictionaries({}, optional={name: STATES for name in NAMES}))
@settings(max_examples=60, deadline=None)
def test_no_state_breaks_it(state):
    found = answer(state)
    assert found["problems"] or found["count"]["total"] > 0
    assert all(isinstance(s, str) and s for s in found["problems"].values())


def test_what_an_answer_holds_as_state_asks_the_same_again():
    state = {
        "arch": "own",
        "shape": {"width": 64, "heads": 4, "kv_heads": 2},
        "method": "prefix",
        "settings": {"virtual_tokens": 5},
    }
    found = answer(state)
    assert answer(found["state"]) == found
    assert found["count"]["trainable"] == 5 * 2 * 30 * 32


def test_what_a_method_does_not_have_is_left_out_of_the_state():
    assert calculator_form.tidy({"method": "prompt", "settings": {"rank": 3}})["settings"] == {}


def test_a_problem_names_its_field():
    for state, place in (
        ({"arch": "own", "shape": {"width": 577}}, "shape.heads"), ({"arch": "config", "config": "{}"}, "config"),
        ({"settings": {"rank": 999}}, "settings.rank"), ({"plan": {"steps": "x"}}, "plan.steps"), ({"machine": "pc"}, "machine"),
        ({"load": {"tokens": -1}}, "load.tokens"), ({"method": "magic"}, "method"), ({"arch": "x"}, "arch"),
    ):  # fmt: skip
        assert list(answer(state)["problems"]) == [place], state


def test_every_rate_price_and_token_count_names_its_source():
    found = answer({"machine": "h100", "plan": {"price": 4.0}})
    told = " ".join(found["sources"])
    for machine in machines.MACHINES:
        assert machine.source in told and (not machine.price_an_hour or machine.priced in told)
        assert bool(machine.price_an_hour) == bool(machine.priced) == machine.gpu
    assert "assumed" in told and "predictions" in found["predicted"]
    assert all(p.source for p in presets.PRESETS if p.tokens_seen)
    assert len(found["known"]) == sum(p.tokens_seen is not None for p in presets.PRESETS)
    rented = next(row for row in found["machines"] if row["own"])
    assert rented["cost"] != answer({"machine": "h100"})["machines"][found["machines"].index(rented)]["cost"]


def test_seconds_here_are_at_the_speed_of_the_model_nearest_in_size():
    slow, quick = Speed("Tiny", 5_000_000, 1e9), Speed("Large", 100_000_000, 1e11)
    for arch, near in (("smollm2-135m", quick), ("llama-2-70b", quick)):
        told = answer({"arch": arch}, (slow, quick))["time"][-1]
        assert f"from two steps of {near.title} measured on this machine" in told
    own = {"arch": "own", "shape": {"width": 64, "layers": 2, "heads": 4, "kv_heads": 2, "hidden": 128, "vocab": 1000}}
    assert "from two steps of Tiny" in answer(own, (slow, quick))["time"][-1]
    assert "not measured yet" in answer(own)["time"][-1]
