"""What is said before the start: counts that are exact, seconds that come from what was measured here."""

import pytest

from experiments import estimates, events
from experiments.specs import RunSpec, build
from experiments.store import Store

WEIGHTS = "hub:a/b@1"
TO_ITS_END = events.Finished(elapsed_s=1.0)


@pytest.fixture
def store(home) -> Store:
    return Store(home / "lab.sqlite")


def spec(method: str = "lora", weights: str = WEIGHTS, **changes) -> RunSpec:
    base = {"model": "smollm2-135m", "weights": weights, "task": "pirate", "method": method}
    return build(RunSpec, {**base, **changes})


def finished_run(
    store: Store,
    of: RunSpec,
    seconds_a_token: float = 0.01,
    steps: int = 3,
    looks_s: float = 6.0,
    end: events.Event = TO_ITS_END,
) -> None:
    key, _ = store.open(of.run_id, "train", of.model_dump_json(), "ann")
    for i in range(1, steps + 1):  # 50 tokens a row; the first step takes five seconds more
        tokens = 50 * of.train.batch_size * i
        store.append(key, events.Stepped(
            step=i, loss=1.0, gradient_norm=1.0, learning_rate=0.1, tokens=tokens, train_s=5 + tokens * seconds_a_token
        ))  # fmt: skip
    store.append(key, events.Evaluated(subject="tuned", step=steps, elapsed_s=looks_s))
    store.append(key, events.Evaluated(subject="base", step=0, elapsed_s=100.0))  # measured once, not for each run
    store.append(key, end)
    estimates.learn(store, key)


def test_counts_are_known_before_anything_is_fetched(store):
    """LoRA on q and v: 30 layers × 8 × ((576 + 576) + (576 + 192)); PEFT prints the same for this model."""
    estimate = estimates.before(spec(weights="", settings={"targets": "q_proj,v_proj"}), store)
    assert estimate.trainable == 460_800 and estimate.total == 134_515_008
    assert estimate.seconds is None and "measured" in estimate.basis
    assert estimates.before(spec("full"), store).trainable == 134_515_008
    assert estimates.before(spec("prompt"), store).trainable == 16 * 576
    assert estimates.before(spec("zero-shot"), store).trainable == 0


def test_nothing_measured_means_no_seconds(store):
    assert estimates.before(spec(), store).seconds is None
    assert estimates.speed("smollm2-135m", store) is None


def test_a_finished_run_teaches_the_next_estimate(store):
    finished_run(store, spec())
    of_forty = estimates.before(spec(seed=1), store)
    assert of_forty.seconds == pytest.approx(40 * 4 * 50 * 0.01 + 6.0) and of_forty.basis == "measured here"
    of_ten = estimates.before(spec(train={"steps": 10, "batch_size": 8}), store)
    assert of_ten.seconds == pytest.approx(10 * 8 * 50 * 0.01 + 6.0)


def test_a_stopped_run_teaches_how_long_a_step_takes(store):
    """What was measured on a busy machine does not stand until a run goes to its end."""
    store.remember(estimates.speed_key(WEIGHTS, "lora"), 3.0)
    finished_run(store, spec(), looks_s=9.0, end=events.Cancelled(step=3))
    assert estimates.before(spec(seed=1, train={"steps": 10}), store).seconds < 10 * 4 * 50 * 0.01 + 20 * 4 * 100 * 0.01
    assert store.recall(estimates._around_key(spec(), WEIGHTS)) is None  # its looks were not all taken


def test_another_method_is_estimated_from_loras_speed_until_it_was_measured(store):
    finished_run(store, spec())
    guessed = estimates.before(spec("full"), store)
    assert guessed.basis == "from this machine's LoRA speed"
    assert guessed.seconds > estimates.before(spec(), store).seconds
    finished_run(store, spec("full"), seconds_a_token=0.05)
    measured = estimates.before(spec("full", seed=1), store)
    assert measured.seconds == pytest.approx(40 * 4 * 50 * 0.05 + 6.0) and measured.basis == "measured here"


def test_other_weights_and_unfinished_runs_teach_nothing(store):
    finished_run(store, spec(weights="hub:a/b@2"))
    assert estimates.before(spec(), store).seconds is None
    key, _ = store.open(spec().run_id, "train", spec().model_dump_json(), "ann")
    store.append(key, events.Failed(cause="x"))
    estimates.learn(store, key)
    assert estimates.before(spec(), store).seconds is None


def test_a_run_of_one_step_or_none_is_no_measure_of_speed(store):
    finished_run(store, spec(train={"steps": 1}), steps=1)
    assert store.recall(estimates.speed_key(WEIGHTS, "lora")) is None
    finished_run(store, spec("zero-shot"), steps=0, looks_s=7.0)
    assert estimates.before(spec("zero-shot", seed=1), store).seconds == pytest.approx(7.0)


def test_an_unknown_model_gets_a_sentence(store):
    with pytest.raises(ValueError, match="There is no model “nope”"):
        estimates.before(spec().model_copy(update={"model": "nope"}), store)


def test_a_model_on_disk_is_counted_from_its_own_files(store, tiny):
    estimate = estimates.before(build(RunSpec, {"model": str(tiny), "task": "pirate", "method": "full"}), store)
    assert estimate.trainable == estimate.total == 3_219_776
