"""One LoRA run cut to every smaller rank: the best approximation there is, the whole run at its own rank, nothing changed after."""

import pytest
import torch

from experiments import events
from experiments.engine import adapters, evaluation, training, truncation
from experiments.engine.execution import Engine
from experiments.jobs import Job
from experiments.questions import RanksSpec, parse
from experiments.store import Store
from tests.engine.conftest import FEW, run_spec


@pytest.fixture(scope="module")
def tuned(base, tmp_path_factory):
    folder = tmp_path_factory.mktemp("adapters") / "run"
    with pytest.MonkeyPatch.context() as patch:
        from experiments.catalog import tasks

        patch.setenv("LAB_HOME", str(folder.parent))
        patch.setattr(tasks, "TASKS", (*tasks.TASKS, FEW))
        list(training.run(run_spec(steps=6, rate=1e-2, rank=6), base, folder))
    return adapters.load(base, folder)


def test_a_cut_is_the_first_directions_of_torchs_own_svd_of_the_whole_product(tuned):
    found = truncation.cuts(tuned)
    with truncation.put_back(found):
        cut = found[0]
        whole = cut.b_OR @ cut.a_RI
        u, s, v = torch.linalg.svd(whole)
        cut.to(2)
        assert torch.allclose(cut.b_OR @ cut.a_RI, (u[:, :2] * s[:2]) @ v[:2], atol=1e-6)
        assert torch.linalg.matrix_rank(cut.b_OR @ cut.a_RI) == 2
    assert torch.equal(cut.b_OR @ cut.a_RI, whole)


def test_the_curve_goes_from_the_base_to_the_run_and_leaves_it_as_it_was(tuned, base):
    def nothing() -> None: ...

    before = [p.clone() for p in tuned.parameters()]
    own = evaluation.held_out_loss(tuned, base, FEW, nothing)
    told = list(truncation.curve(tuned, base, FEW, nothing))
    assert [t.rank for t in told] == [0, 1, 2, 4, 6]
    assert told[0].held_out_loss == pytest.approx(evaluation.held_out_loss(base.model, base, FEW, nothing), abs=1e-6)
    assert told[-1].held_out_loss == pytest.approx(own, abs=1e-5) and told[-1].kept == pytest.approx(1)
    kept = [t.kept for t in told]
    assert kept == sorted(kept) and kept[0] == 0 and told[2].parameters == 2 * told[1].parameters
    assert all(torch.equal(a, b) for a, b in zip(before, tuned.parameters(), strict=True))


def test_what_is_no_lora_is_refused(base):
    with pytest.raises(ValueError, match="Only a LoRA run"):
        truncation.cuts(base.model)


def test_it_is_asked_as_any_question(base, home):
    store = Store(home / "lab.sqlite")
    engine = Engine(store, home)
    engine.bases._loaded["local:tiny"] = base
    run = run_spec(steps=2, rate=1e-2, rank=2)
    key = store.open(run.run_id, "train", run.model_dump_json(), "ann")[0]
    engine.execute(Job("train", (key,)))
    asked = RanksSpec(model="tiny", weights="local:tiny", runs=(run.run_id,))
    assert parse(asked.model_dump_json()) == asked
    question = store.open(asked.sample_id, "sample", asked.model_dump_json(), "ann")[0]
    engine.execute(Job("sample", (question,)))
    told = [row.event for row in store.events(question)]
    assert [e.rank for e in told if isinstance(e, events.Ranked)] == [0, 1, 2]
    assert told[-1].kind == "finished"
