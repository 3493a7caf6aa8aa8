"""What is trained on what, in the forms of sweeps and comparisons: any model of the hub, and rows of one's own, as in Train's."""

import pytest

from experiments.specs import SpecError
from experiments.store import Store
from experiments.sweeps.running import Sweeper
from lab_app import compare_form, own, setup, subject, sweep_form

ROWS = "question,answer\n" + "".join(f"What is {i}?,It is {i}.\n" for i in range(30))
ANNA, EVE = "anna-" + "a" * 30, "eve-" + "e" * 30
FORMS = {"sweep": sweep_form, "compare": compare_form}


def ordered(form, **typed):
    return form.order(form.Draft.read({**form.start(), **typed}))


def base(spec):
    return spec.base if hasattr(spec, "base") else spec.runs[0]


@pytest.fixture
def rows(home) -> dict:
    brought = own.bring_rows({"kind": "text", "text": ROWS, "model": "smollm2-135m"}, ANNA)
    return {"key": brought["key"], "columns": brought["columns"], "template": brought["template"]}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_rows_of_ones_own_are_what_it_is_on(form, rows):
    assert ordered(form, task=subject.OWN)[1] == {"task": subject.NO_ROWS}
    spec, problems = ordered(form, task=subject.OWN, own=rows)
    assert not problems and base(spec).task == rows["key"] and base(spec).data.completion == "answer"
    assert form.order(form.Draft.read(form.filled(spec)))[0] == spec  # what “Use these settings” fills in
    wrong = ordered(form, task=subject.OWN, own={**rows, "template": "{nothing}"})[1]
    assert set(wrong) == {"task"}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_any_model_of_the_hub_is_named_by_its_id(form):
    spec, problems = ordered(form, model=subject.OTHER, hub_id=" someone/some-model ")
    assert not problems and base(spec).model == "someone/some-model"
    assert form.filled(spec)["model"] == subject.OTHER and form.filled(spec)["hub_id"] == "someone/some-model"
    assert "owner/name" in ordered(form, model=subject.OTHER, hub_id="gpt-9")[1]["hub_id"]

    class Lab:
        store = None

    said = form.consequences(Lab, form.Draft.read({**form.start(), "model": subject.OTHER}))
    assert said["problems"] == {} and said["plan"]  # not typed yet is not wrong yet


def test_a_sweep_on_somebody_elses_rows_is_refused_at_once(home, rows):
    spec, _ = ordered(sweep_form, task=subject.OWN, own=rows)
    with pytest.raises(SpecError, match="not yours"):
        Sweeper(Store(home / "lab.sqlite"), [], home).start(spec, EVE)


def test_each_form_of_the_page_has_ids_of_its_own():
    described = [subject.describe(group) for group in ("", "sweep-", "compare-")]
    ids = [part["id"] for form in described for part in form.values() if isinstance(part, dict)]
    assert len(set(ids)) == len(ids) == 9
    assert setup.describe()["task"] == described[0]["task"] and sweep_form.describe()["task"] == described[1]["task"]
