"""What the Mix fold says: rows in the order they came, the lowest mix in a sentence, one sentence for what cannot be mixed."""

import pytest

from experiments import events
from experiments.jobs import Jobs
from experiments.questions import MixSpec
from experiments.specs import RunSpec, build
from experiments.store import Store
from lab_app import mixing
from lab_app.lab import Lab
from tests.unit.runs import put, spec


class Nobody:
    """Carries nothing out: a question stays open."""

    def run(self, job) -> None: ...

    def warm(self, model) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def lab(tmp_path):
    store = Store(tmp_path / "lab.sqlite")
    jobs = Jobs(store, Nobody())
    yield Lab(tmp_path, store, jobs)
    jobs.close()


def look(name: str, task: str, loss: float | None, says: str = "Arr.") -> events.Mixed:
    return events.Mixed(name=name, task=task, held_out_loss=loss, answers=(events.Answer(prompt="P", answer=says),))


FOUND = [
    look("base", "pirate", 4.0), look("base", "json", 2.0), look("a", "pirate", 2.0), look("a", "json", 2.5),
    look("stack", "pirate", 2.2), look("stack", "json", 1.0), look("ties", "pirate", 2.1), look("ties", "json", None),
]  # fmt: skip


def test_one_row_a_model_and_a_column_a_task():
    table = mixing.results(FOUND, {"a": "LoRA · pirate"})
    assert [c["label"] for c in table["columns"]][1:3] == ["held-out loss, pirate", "held-out loss, json"]
    assert [row["cells"][:3] for row in table["rows"]] == [
        ["base", "4.000", "2.000"], ["LoRA · pirate", "2.000", "2.500"], ["stacked", "2.200", "1.000"], ["TIES", "2.100", "–"],
    ]  # fmt: skip
    assert table["rows"][0]["method"] == "base" and table["rows"][1]["cells"][3:] == ["Arr.", "Arr."]


def test_the_lowest_mix_over_all_tasks_is_named():
    assert (
        mixing.best(FOUND)
        == "Lowest of the mixes on the mean over 2 tasks: stacked, 1.600. Nothing was trained for it."
    )
    assert mixing.best(FOUND[:4]) == "No mix gave a number."
    assert mixing.said([events.Failed(cause="It is gone.")])["lines"] == ["It is gone."]


def test_what_cannot_be_mixed_is_said_at_its_field(lab):
    lora, other, prompt = spec(seed=0), spec(seed=1, rank=4), spec("prompt")
    for run in (lora, other, prompt):
        put(lab.store, run)
    both = (lora.run_id, other.run_id)

    def problems(runs, **typed):
        key, found = mixing.order(lab, {"runs": runs, "shares": "", "how": "all", "density": "0.5", **typed}, "ann")
        assert (key is None) == bool(found)
        return found

    assert problems(()) == {"runs": mixing.EMPTY}
    assert problems((lora.run_id,)) == {"runs": "Name two to four runs."}
    assert "Only plain LoRA runs" in problems((lora.run_id, prompt.run_id))["runs"]
    assert problems(both, shares="1, <b>")["shares"].startswith("Weights are numbers")
    assert "can be stacked only" in problems(both, how="ties")["how"]
    assert problems(both, shares="1, 0.5") == {}


def test_the_lowest_mix_is_kept_as_a_run_of_its_own(lab):
    lora, other = spec(seed=0), spec(seed=1)
    for run in (lora, other):
        put(lab.store, run)
    runs = (lora.run_id, other.run_id)
    ((nothing, _),) = mixing.kept_as_run(lab, None, "ann", lambda: True)
    assert "Mix some runs first" in nothing["lines"][0]
    asked = build(MixSpec, {"model": "any", "runs": runs, "shares": "1, 0.5"})
    key, _ = lab.store.open(asked.sample_id, "sample", asked.model_dump_json(), "ann")  # the queue would end it
    for event in FOUND:
        lab.store.append(key, event)
    *_, (ended, _) = mixing.kept_as_run(lab, key, "ann", lambda: True)
    assert ended["lines"][0] == "Nothing was kept." and "without a result" in ended["lines"][1]  # by nobody
    (entry,) = lab.store.entries("train", "ann", 1)
    kept = RunSpec.model_validate_json(entry.spec)
    assert kept.method == "lora-mix" and kept.task == "pirate" and not kept.train.steps
    assert kept.settings.model_dump() == {"runs": runs, "shares": (1.0, 0.5), "how": "stack", "density": 0.5, "seed": 0}
