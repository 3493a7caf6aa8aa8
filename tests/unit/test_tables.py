"""Rows, cards and marks from records."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from experiments import events, specs
from experiments.analysis import Record
from experiments.specs import RunSpec
from lab_app import tables
from tests.unit.records import finished, record


def test_marks_are_the_words_that_differ():
    base, tuned = "The capital is Vienna.", "Arr! The capital be Vienna."
    assert [tuned[a:b] for a, b in tables.marks(base, tuned)] == ["Arr!", "be"]


def test_equal_answers_have_no_marks():
    assert tables.marks("one two", "one  two") == []


@given(st.text(max_size=60), st.text(max_size=60))
def test_marks_are_ordered_ranges_inside_the_text(base, other):
    at = 0
    for start, end in tables.marks(base, other):
        assert at <= start < end <= len(other)
        at = end


def test_every_row_has_a_cell_for_every_column():
    value = tables.results([finished("lora"), record("prompt"), record("zero-shot")])
    assert {len(row["cells"]) for row in value["rows"]} == {len(value["columns"])}


def test_numbers_of_a_finished_run():
    value = tables.results([finished("lora")])
    cells = dict(zip([c["label"] for c in value["columns"]], value["rows"][0]["cells"], strict=True))
    assert cells["trainable"] == "460,800"
    assert cells["share"] == "0.34"
    assert cells["held-out loss"] == "3.10 → 0.80"
    assert cells["pirate style"] == "12 → 96"
    assert cells["forgetting"] == "+0.05"
    assert cells["adapter"] == "1.85"
    assert cells["peak memory"] == "1,240"


def test_what_was_not_measured_is_a_dash_and_no_number():
    cells = tables.results([record("lora")])["rows"][0]["cells"]
    assert cells[2:] == [tables.NONE] * (len(cells) - 2)


def test_what_echoing_the_prompt_scores_is_a_row_of_its_own():
    """On `plain-english` the verse given back unchanged: a model that does not beat it has learnt nothing of use."""
    one = finished("lora")
    one.spec = specs.build(RunSpec, {"model": "any", "task": "plain-english", "method": "lora"})
    assert len(tables.results([one])["rows"]) == 1
    one.base = one.base.model_copy(update={"baselines": {"echo": {"chrf": 52.4, "bleu": 29.8}}})
    value = tables.results([one])
    labels = [c["label"] for c in value["columns"]]
    echo = dict(zip(labels, value["rows"][-1]["cells"], strict=True))
    assert (echo["method"], echo["state"], echo["chrf"], echo["bleu"]) == ("echo of the prompt", "no model", "52", "30")
    assert len(value["rows"]) == 2 and {echo[label] for label in ("trainable", "peak memory", "adapter")} == {
        tables.NONE
    }


def test_the_newest_answer_stands_first_and_the_base_once():
    one = finished("lora")
    one.samples = [
        events.Sampled(subject="base", step=0, answers=(events.Answer(prompt="P", answer="base says"),)),
        events.Sampled(subject="tuned", step=0, answers=(events.Answer(prompt="P", answer="start"),)),
        events.Sampled(subject="tuned", step=40, answers=(events.Answer(prompt="P", answer="end"),)),
    ]
    (card,) = tables.samples([one])["cards"]
    assert [c["text"] for c in card["columns"]] == ["base says", "end"]
    assert card["columns"][1]["earlier"] == [{"state": "step 0", "text": "start"}]


def test_a_share_keeps_two_digits():
    assert [tables.share(part, 1000) for part in (0, 1, 120, 1000)] == ["0", "0.1", "12", "100"]


def test_no_records_make_an_empty_table():
    assert tables.results([])["rows"] == []
    assert tables.samples([]) == {"cards": []}
    assert isinstance(record("lora"), Record)
