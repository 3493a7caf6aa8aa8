"""The peaks of runs beside what is foretold of them, for the calculator."""

from experiments import recorded
from experiments.store import Store
from lab_app import measured
from lab_app.lab import Lab


def test_every_recorded_run_took_about_what_is_foretold(home):
    """Whatever it learnt by: answers in pairs or groups are counted one by one, at their own length."""
    lab = Lab(home, Store(home / "lab.sqlite"), None)
    assert len(measured.runs(lab)["rows"]) == measured.LATEST
    taken = [*recorded.load(), *recorded.gallery()]
    rows = {r.run_id: found["cells"] for r in taken if (found := measured._row(r))}
    assert {r.spec.method for r in taken if r.run_id not in rows} == {"few-shot"}  # nothing was trained
    assert {"LoRA, dpo", "LoRA, kto", "LoRA, grpo", "LoRA"} <= {method for _, method, *_ in rows.values()}
    assert all(abs(float(error)) <= 20 for *_, error in rows.values()), rows
