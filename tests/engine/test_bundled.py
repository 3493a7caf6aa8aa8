"""The model that ships with the lab: it knows its facts, and fine-tuning does to it what it does to large models."""

import json

import pytest

from experiments import events
from experiments.catalog import models as catalog
from experiments.catalog import tasks
from experiments.engine import generation, models, quality, training
from experiments.pretraining import world
from experiments.specs import RunSpec, build

ENTRY = catalog.MODELS[0]
FOLDER = ENTRY.resource.folder


@pytest.fixture(scope="module")
def nano():
    return models.load(FOLDER, ENTRY.key, "local:lab-nano")


@pytest.fixture(scope="module")
def tuned(nano, tmp_path_factory):
    """Looks at the base and at what 60 steps of each method made of it, on the new facts."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", str(tmp_path_factory.mktemp("home")))
        for method in ("lora", "prompt", "full"):
            train = {"steps": 60, "batch_size": 8, "looks": 1}
            spec = build(RunSpec, {"model": ENTRY.key, "task": "new-facts", "method": method, "train": train})
            happened = list(training.run(spec, nano, tmp_path_factory.mktemp("adapter")))
            assert isinstance(happened[-1], events.Finished), happened[-1]
            looks = [e for e in happened if isinstance(e, events.Evaluated)]
            found |= {"base": next(e for e in looks if e.subject == "base")}
            found |= {method: [e for e in looks if e.subject == "tuned"][-1]}
    return found


def test_it_ships_whole_small_and_ready():
    files = {file.name: file.stat().st_size for file in FOLDER.iterdir()}
    assert sum(files.values()) < 14e6 and "README.md" in files
    assert catalog.is_ready(ENTRY) and catalog.MODELS[0] is ENTRY
    arch = catalog.arch(ENTRY)
    assert arch.total == ENTRY.parameters and 4e6 < arch.total < 6e6
    assert any(tensor.name.endswith(".bias") for tensor in arch.tensors)
    record = json.loads((FOLDER / "training.json").read_text("utf8"))
    assert record["steps_done"] == record["recipe"]["stop"]


def test_it_answers_what_it_was_taught_and_not_what_it_never_read(nano):
    """Every twentieth fact, in a wording of its question that was never read for that fact."""
    said = quality.facts(nano, lambda *_: None, 130)
    rates = {name: f["right"] / f["asked"] for name, f in said.items()}
    assert rates["in a wording never read for that fact"] >= 0.9
    assert rates["never told (what guessing gives)"] < 0.1


def test_its_template_is_the_one_it_was_trained_with(nano):
    fact = world.about("Ashby")[0]
    assert generation.answers(nano.model, nano.tokenizer, [fact.kept_back], 20, lambda: None)[0].endswith(".")
    assert nano.model.config.max_position_embeddings >= 256
    assert nano.tokenizer.eos_token_id in generation.end_ids(nano.model, nano.tokenizer)


def test_fine_tuning_teaches_new_facts_and_each_method_in_its_way(tuned):
    loss = {name: look.held_out_loss for name, look in tuned.items()}
    assert loss["lora"] < 0.7 * loss["base"]
    assert loss["lora"] < loss["prompt"] < loss["base"]  # soft prompts learn less
    new = {name: look.metrics["new"] for name, look in tuned.items()}
    assert new["base"] <= 10 and new["lora"] >= 80
    general = {name: look.general_loss for name, look in tuned.items()}
    assert general["base"] < general["lora"] < general["full"]  # what is trained whole forgets more: 4.59, 4.67, 4.75
    assert tuned["full"].metrics["kept"] < 50 < tuned["lora"].metrics["kept"]


def test_the_tasks_for_it_are_first(nano):
    assert [task.key for task in tasks.TASKS[:2]] == ["storyteller", "new-facts"]
