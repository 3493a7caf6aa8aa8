"""What the Generate tab makes of answers: cards, what is kept, answers along a training, a comparison as a file."""

from __future__ import annotations

import csv
import io
from types import SimpleNamespace

import pytest

from experiments import events, states
from experiments.questions import SampleSpec
from experiments.specs import SpecError, build
from experiments.store import Key, Store
from lab_app import answer_cards, asking, live
from tests.unit.records import finished
from tests.unit.runs import put, spec


def written(*prompts: str) -> live.Written:
    spec = build(SampleSpec, {"model": "m", "prompt": prompts[0], "more": prompts[1:], "runs": ["r"]})
    found = live.Written(spec, [[live.Said(), live.Said()] for _ in prompts])
    for row in range(len(prompts)):
        for column, text in enumerate(("It is.", "It be.")):
            live._write(found, events.Wrote(column=column, row=row, text=text, tokens=4, elapsed_s=0.2, ended=True))
    return found


def test_a_line_of_dashes_parts_prompts():
    assert asking.split({"prompt": "one\n---\n two\nlines \n  ---  \nthree"})["more"] == ("two\nlines", "three")
    assert asking.split({"prompt": "a --- b"}) == {"prompt": "a --- b", "more": ()}
    assert asking.split({"prompt": None})["prompt"] == ""


def test_a_card_for_each_prompt_with_its_pace():
    found = answer_cards.cards(written("P", "Q"), [finished("lora")], Key("s1", 2))
    assert [card["prompt"] for card in found] == ["P", "Q"] and [card["id"] for card in found] == ["s1.2.0", "s1.2.1"]
    base, tuned = found[1]["columns"]
    assert tuned["state"] == "4 tokens, 0.2 s, 20 tokens/s" and tuned["text"] == "It be."
    assert [tuned["text"][a:b] for a, b in tuned["marks"]] == ["be."] and base["marks"] == []
    assert answer_cards.pace(live.Said()) == ""


def test_keeping_and_letting_go():
    found = answer_cards.cards(written("P", "Q"), [finished("lora")], Key("s1", 1))
    _, kept = answer_cards.toggled(found, "s1.1.1")
    assert [bool(card.get("kept")) for card in kept] == [False, True]
    assert answer_cards.toggled(kept, "s1.1.1")[1][1]["kept"] is False
    assert answer_cards.toggled(found, "<b>")[1] == found


def test_a_comparison_is_what_is_on_the_screen():
    cards = answer_cards.cards(written("=1+1", "Q | <b>"), [finished("lora")], Key("s1", 1))
    rows = list(csv.reader(io.StringIO(answer_cards.comparison(cards, "csv")["text"])))
    assert rows == [["prompt", "base", "LoRA"], ["'=1+1", "It is.", "It be."], ["Q | <b>", "It is.", "It be."]]
    markdown = answer_cards.comparison(cards, "md")
    assert markdown["name"] == "answers.md" and "<b>" not in markdown["text"] and markdown["text"].count("\n") == 4


def test_answers_along_a_training_have_a_column_for_each_step():
    run = finished("lora")
    said = [("base", 0, "base says"), ("tuned", 0, "start"), ("tuned", 20, "middle"), ("tuned", 40, "end")]
    run.samples = [
        events.Sampled(subject=subject, step=step, answers=(events.Answer(prompt="P", answer=text),))
        for subject, step, text in said
    ]
    (card,) = answer_cards.along(run)
    assert [c["name"] for c in card["columns"]] == ["base", "LoRA, step 0", "LoRA, step 20", "LoRA, step 40"]
    assert [c["text"] for c in card["columns"]] == ["base says", "start", "middle", "end"] and card["prompt"] == "P"


def test_a_run_on_its_way_is_asked_alone_where_it_kept_adapters(home):
    store = Store(home / "lab.sqlite")
    lab = SimpleNamespace(home=home, store=store)
    run_id = put(store, spec()).run_id
    for wrong, sentence in (
        ((), "Choose one run"),
        ((run_id, run_id), "Choose one run"),
        ((run_id,), "kept no adapters"),
    ):
        with pytest.raises(SpecError, match=sentence):
            asking.along_the_way(lab, wrong, "ann")
    for step in range(0, 40, 2):
        (home / states.LOOKS / run_id / str(step)).mkdir(parents=True)
    (home / states.LOOKS / run_id / "4.part").mkdir()
    found = asking.along_the_way(lab, (run_id,), "ann")
    assert found == {"runs": (run_id,) * 8, "at": (0, 6, 12, 20, 26, 32, 38, None)}
    asked = build(SampleSpec, {"model": "m", "prompt": "P", **found})
    assert (
        asked.columns[-1] == (run_id, None)
        and asked.sample_id != build(SampleSpec, {"model": "m", "prompt": "P"}).sample_id
    )
    with pytest.raises(SpecError, match="Name a step for each of the runs"):
        build(SampleSpec, {"model": "m", "prompt": "P", "runs": ("a",), "at": (1, 2)})
