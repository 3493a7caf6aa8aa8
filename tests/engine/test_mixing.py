"""Several LoRAs on one base: each alone is the run itself, stacked they are PEFT's own sum, and every mix gets its loss."""

import io
import json
import zipfile

import pytest
import torch
from peft import PeftModel
from typer.testing import CliRunner

from experiments import analysis, events, export
from experiments.__main__ import app
from experiments.catalog import tasks
from experiments.engine import adapters, evaluation, mixing, training
from experiments.engine.execution import Engine
from experiments.engine.models import fresh
from experiments.jobs import Job
from experiments.questions import MIXES, MixSpec, check_mix, kept_mix, parse
from experiments.specs import SpecError, build
from experiments.store import Store
from tests.engine.conftest import FEW, run_spec

NAMES = ("0123456789ab", "ba9876543210")


def specs():
    """Two LoRAs of one rank, of another alpha."""
    return (run_spec(steps=4, rate=1e-2, rank=4, seed=0), run_spec(steps=4, rate=3e-2, rank=4, alpha=4, seed=1))


@pytest.fixture(scope="module")
def folders(base, tmp_path_factory):
    root = tmp_path_factory.mktemp("adapters")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", str(root))
        patch.setattr(tasks, "TASKS", (*tasks.TASKS, FEW))
        for name, spec in zip(NAMES, specs(), strict=True):
            list(training.run(spec, base, root / name))
    return {name: root / name for name in NAMES}


def asked(**changes) -> MixSpec:
    known = {"model": "tiny", "weights": "local:tiny", "runs": NAMES}
    return build(MixSpec, {**known, **changes})


@torch.no_grad()
def logits(model) -> torch.Tensor:
    return model(input_ids=torch.arange(40, 60)[None]).logits


def nothing() -> None: ...


def test_stacked_they_are_both_at_once(base, folders):
    """PEFT with two active adapters adds their updates; weights that leave one out leave the other alone."""
    model = mixing.together(fresh(base), folders)
    model.base_model.set_adapter(list(NAMES))
    both = logits(model)
    mixing.mix(model, asked(), "stack")
    torch.testing.assert_close(logits(model), both, rtol=0, atol=1e-4)
    model.set_adapter(NAMES[0])
    model.delete_adapter("stack")
    mixing.mix(model, asked(shares="0, 1"), "stack")
    torch.testing.assert_close(logits(model), logits(adapters.load(base, folders[NAMES[1]])), rtol=0, atol=1e-4)
    assert not torch.allclose(both, logits(model), atol=1e-3)


def test_every_mix_gets_its_loss_beside_the_base_and_each_run_alone(base, folders, weights):
    runs = {name: (spec, folders[name]) for name, spec in zip(NAMES, specs(), strict=True)}
    told = {e.name: e for e in mixing.looks(base, runs, asked(), nothing)}
    assert tuple(told) == ("base", *NAMES, *MIXES)
    assert told["base"].held_out_loss == pytest.approx(
        evaluation.held_out_loss(base.model, base, FEW, nothing), abs=1e-6
    )
    for name, folder in folders.items():
        alone = evaluation.held_out_loss(adapters.load(base, folder), base, FEW, nothing)
        assert told[name].held_out_loss == pytest.approx(alone, abs=1e-5)
    found = [e.held_out_loss for e in told.values()]
    assert None not in found and len(set(found)) == len(found) and told["ties"].answers[0].prompt == FEW.probes[0]
    again = list(mixing.looks(base, runs, asked(how="dare"), nothing))[-1]
    assert again.held_out_loss == told["dare"].held_out_loss  # what is dropped is drawn from the seed
    assert weights()


def test_it_is_asked_as_any_question_and_from_the_command_line(base, home, monkeypatch):
    store = Store(home / "lab.sqlite")
    engine = Engine(store, home)
    engine.bases._loaded["local:tiny"] = base
    wanted = [run_spec(steps=1, rate=1e-2, rank=rank) for rank in (2, 3)]
    for spec in wanted:
        engine.execute(Job("train", (store.open(spec.run_id, "train", spec.model_dump_json(), "ann")[0],)))
    question = asked(runs=[spec.run_id for spec in wanted])
    assert parse(question.model_dump_json()) == question
    key = store.open(question.sample_id, "sample", question.model_dump_json(), "ann")[0]
    engine.execute(Job("sample", (key,)))
    told = [row.event for row in store.events(key)]
    mixed = [e.name for e in told if isinstance(e, events.Mixed)]
    assert mixed == ["base", *(spec.run_id for spec in wanted), "stack"]  # of two ranks: no other way
    kept_of(engine, wanted, question)
    monkeypatch.setenv("LAB_HOME", str(home))
    done = CliRunner().invoke(app, ["merge", "--runs", ",".join(s.run_id for s in wanted), "--how", "ties", "--json"])
    assert (
        done.exit_code == 2
        and "ranks 2 and 3 can be stacked only" in json.loads(done.stdout)["problems"][0]["sentence"]
    )
    done = CliRunner().invoke(app, ["merge", "--runs", "0123456789ab,nothing", "--json"])
    assert json.loads(done.stdout)["problems"][0]["field"] == "runs"


def kept_of(engine: Engine, runs, question: MixSpec) -> None:
    """A mix that is kept is a run: a plain LoRA of PEFT's that can be asked and exported, and says of which runs it was made."""
    store, base = engine.store, engine.bases._loaded["local:tiny"]
    spec = kept_mix(question, runs[0], "stack")
    key = store.open(spec.run_id, "train", spec.model_dump_json(), "ann")[0]
    engine.execute(Job("train", (key,)))
    record = analysis.load(store, *key)
    assert record.status == "finished" and record.finished.adapter_bytes > 0 and not record.steps, record.cause
    assert record.tuned.held_out_loss is not None and record.started.trainable == 0
    folder = engine._folder(key)
    parents = {run.run_id: engine._folder(store.entry(run.run_id).key) for run in runs}
    model = mixing.together(fresh(base), parents)
    model.base_model.set_adapter(list(parents))
    for tuned in (engine._load(base, spec.run_id), PeftModel.from_pretrained(fresh(base), folder)):
        torch.testing.assert_close(logits(tuned.eval()), logits(model), rtol=0, atol=1e-4)
    out = io.BytesIO()
    export.adapter_zip(folder, out, "someone/tiny")
    with zipfile.ZipFile(out) as archive:
        assert set(archive.namelist()) >= {"adapter_config.json", "adapter_model.safetensors", "mix.json"}
        assert tuple(json.loads(archive.read("mix.json"))["settings"]["runs"]) == question.runs
        assert json.loads(archive.read("adapter_config.json"))["r"] == 5
    gone = kept_mix(question.model_copy(update={"runs": (runs[0].run_id, "0123456789ab")}), runs[0], "stack")
    key = store.open(gone.run_id, "train", gone.model_dump_json(), "ann")[0]
    engine.execute(Job("train", (key,)))
    assert "0123456789ab is no plain LoRA" in analysis.load(store, *key).cause


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"runs": NAMES[:1]}, "Name two to four runs."),
        ({"runs": (NAMES[0], "../../etc")}, "“../../etc” is not a run's id: twelve of the digits 0 to 9 and a to f."),
        ({"runs": NAMES[:1] * 2}, "Name each run once."),
        ({"shares": "1, x"}, "Weights are numbers with commas between them, such as 1, 0.5."),
        ({"shares": "1"}, "Name a weight for each of the runs, or none at all."),
        ({"shares": "0, 0"}, "With every weight at 0 nothing is left: that is the base."),
        ({"shares": "1, 9"}, "A weight lies between -4 and 4."),
        ({"how": "soup"}, "How must be one of all, stack, linear, ties, dare, dare-ties."),
        ({"density": 0}, "Density must be more than 0."),
    ],
)
def test_what_cannot_be_is_one_sentence(change, sentence):
    with pytest.raises(SpecError) as caught:
        asked(**change)
    assert sentence in [p.sentence for p in caught.value.problems]


@pytest.mark.parametrize(("method", "settings"), [("prompt", {}), ("lora", {"dora": True}), ("qlora", {})])
def test_only_plain_loras_are_put_together(method, settings):
    with pytest.raises(SpecError, match="Only plain LoRA runs"):
        check_mix(asked(), [run_spec(), run_spec(method, **settings)])
