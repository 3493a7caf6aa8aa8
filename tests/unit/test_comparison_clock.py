"""How long a comparison takes: what its parts cost, what is guessed before they were measured, and the time that is left."""

import pytest

from experiments import estimates
from experiments.comparison import parts
from experiments.comparison.clock import Clock, guess, time_left
from experiments.store import Store
from tests.unit.test_comparison import spec


def test_the_cost_of_a_part_is_the_race_and_the_further_seeds():
    run = spec(budget={"kind": "steps", "amount": 40}).runs[0]
    found = parts.Cost(parts.part(spec(), run), a_step_s=1.0, look_s=2.0, around_s=20.0)
    assert found.run_s == 60
    # five to step 10 (10 s and two looks), two of them to step 30 (20 s and two looks), one to its end, two further seeds
    assert found.total_s == 5 * (10 + 4) + 2 * (20 + 4) + (60 - 14 - 24) + 2 * 60


def test_the_time_left_learns_the_pace_of_this_machine():
    assert time_left([Clock(total_s=None)], 0.0) == (None, 0.0)
    fresh = [Clock(total_s=100.0), Clock(total_s=100.0)]
    assert time_left(fresh, 0.0) == (200.0, 0.0) and time_left(fresh, 0.0, workers=2)[0] == 100.0
    slow = Clock(total_s=100.0, since_s=60.0, begun_s=1000.0, ended=True)  # its race left more out than was foretold
    left, share = time_left([slow, Clock(total_s=100.0)], 1200.0)
    assert left == pytest.approx(100 * (10 + 200) / (10 + 100), abs=0.1) and share == 0.5
    quicker = Clock(total_s=100.0, since_s=50.0, begun_s=1200.0)
    assert time_left([slow, quicker], 1250.0)[0] == pytest.approx(50 * (10 + 250) / (10 + 150), abs=0.1)
    taken_up = [Clock(total_s=100.0, before_s=80.0), Clock(total_s=100.0)]
    assert time_left(taken_up, 1250.0)[0] == 120.0  # what was done before tells nothing of today's pace
    assert time_left([Clock(total_s=0.0)], 5.0) == (0.0, 1.0)


def test_a_guess_counts_the_general_text_at_every_look(tmp_path):
    """A comparison's runs look thoroughly, those that taught the guess did not."""
    store, run = Store(tmp_path / "lab.sqlite"), spec().runs[0]
    assert guess(run, store) is None  # never timed here
    store.remember(estimates.speed_key(run.weights, "lora"), 0.001)
    plain = guess(run.model_copy(update={"train": run.train.model_copy(update={"thorough": False})}), store)
    thorough, passage_s = guess(run, store), estimates.general_s(run, store)
    assert passage_s == pytest.approx(24 * 160 * 0.001 / 2)
    assert thorough.look_s - plain.look_s == pytest.approx(passage_s)
    assert thorough.around_s - plain.around_s == pytest.approx((run.train.looks - 1) * passage_s)
    assert thorough.a_step_s == plain.a_step_s > 0
