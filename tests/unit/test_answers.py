"""What the Generate tab makes of answers: cards, what is kept, answers along a training, a comparison as a file."""

from __future__ import annotations

import csv
import io

from experiments import events
from experiments.questions import SampleSpec
from experiments.specs import build
from experiments.store import Key
from lab_app import live
from lab_app.tabs import generate
from tests.unit.records import finished


def written(*prompts: str) -> live.Written:
    spec = build(SampleSpec, {"model": "m", "prompt": prompts[0], "more": prompts[1:], "runs": ["r"]})
    found = live.Written(spec, [[live.Said(), live.Said()] for _ in prompts])
    for row in range(len(prompts)):
        for column, text in enumerate(("It is.", "It be.")):
            live._write(found, events.Wrote(column=column, row=row, text=text, tokens=4, elapsed_s=0.2, ended=True))
    return found


def test_a_line_of_dashes_parts_prompts():
    assert generate.split({"prompt": "one\n---\n two\nlines \n  ---  \nthree"})["more"] == ("two\nlines", "three")
    assert generate.split({"prompt": "a --- b"}) == {"prompt": "a --- b", "more": ()}
    assert generate.split({"prompt": None})["prompt"] == ""


def test_a_card_for_each_prompt_with_its_pace():
    found = generate.cards(written("P", "Q"), [finished("lora")], Key("s1", 2))
    assert [card["prompt"] for card in found] == ["P", "Q"] and [card["id"] for card in found] == ["s1.2.0", "s1.2.1"]
    base, tuned = found[1]["columns"]
    assert tuned["state"] == "4 tokens, 0.2 s, 20 tokens/s" and tuned["text"] == "It be."
    assert [tuned["text"][a:b] for a, b in tuned["marks"]] == ["be."] and base["marks"] == []
    assert generate.pace(live.Said()) == ""


def test_keeping_and_letting_go():
    found = generate.cards(written("P", "Q"), [finished("lora")], Key("s1", 1))
    _, kept = generate.toggled(found, "s1.1.1")
    assert [bool(card.get("kept")) for card in kept] == [False, True]
    assert generate.toggled(kept, "s1.1.1")[1][1]["kept"] is False
    assert generate.toggled(found, "<b>")[1] == found


def test_a_comparison_is_what_is_on_the_screen():
    cards = generate.cards(written("=1+1", "Q | <b>"), [finished("lora")], Key("s1", 1))
    rows = list(csv.reader(io.StringIO(generate.comparison(cards, "csv")["text"])))
    assert rows == [["prompt", "base", "LoRA"], ["'=1+1", "It is.", "It be."], ["Q | <b>", "It is.", "It be."]]
    markdown = generate.comparison(cards, "md")
    assert markdown["name"] == "answers.md" and "<b>" not in markdown["text"] and markdown["text"].count("\n") == 4


def test_answers_along_a_training_have_a_column_for_each_step():
    run = finished("lora")
    said = [("base", 0, "base says"), ("tuned", 0, "start"), ("tuned", 20, "middle"), ("tuned", 40, "end")]
    run.samples = [
        events.Sampled(subject=subject, step=step, answers=(events.Answer(prompt="P", answer=text),))
        for subject, step, text in said
    ]
    (card,) = generate._along(run)
    assert [c["name"] for c in card["columns"]] == ["base", "LoRA, step 0", "LoRA, step 20", "LoRA, step 40"]
    assert [c["text"] for c in card["columns"]] == ["base says", "start", "middle", "end"] and card["prompt"] == "P"
