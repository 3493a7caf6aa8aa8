"""Own preferences: pairs of a better and a worse answer, and answers with a thumb; what is guessed, split, shown and left out."""

from __future__ import annotations

import json

import pytest

from experiments import specs, templates
from experiments.catalog import tasks
from experiments.catalog.own_data import columns as choice
from experiments.catalog.own_data import keep, preview
from experiments.catalog.own_data import table as tables
from experiments.catalog.own_data import task as own_task
from experiments.catalog.own_data.columns import Columns
from experiments.catalog.own_data.table import Unreadable
from experiments.catalog.tasks.base import GAINED, PREFERS, Pair, Thumb, normal
from experiments.commands import own
from experiments.specs import RunSpec, SpecError
from tests.unit.own_rows import Letters

ANNA = "anna-" + "a" * 30
PAIRS = Columns(prompt="prompt", completion="chosen", rejected="rejected")
THUMBS = Columns(prompt="prompt", completion="completion", label="label")


@pytest.fixture(autouse=True)
def lab(home):
    keep._load.cache_clear()
    own_task.of.cache_clear()
    return home


def user(text):
    return {"from": "human", "value": text}


def said(text):
    return {"from": "gpt", "value": text}


def pairs(count=30, **more):
    return [{"prompt": f"{i}?", "chosen": f"Gladly: {i}.", "rejected": f"No {i}.", **more} for i in range(count)]


def thumbs(good=20, bad=20):
    marks = [*[("good", i) for i in range(good)], *[("bad", i) for i in range(bad)]]
    return tables.of_records([{"prompt": f"{i}?", "completion": f"{mark} {i}", "label": mark} for mark, i in marks])


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"prompt": "q", "chosen": "a", "rejected": "b"}, {"prompt": "prompt", "completion": "chosen", "rejected": "rejected"}),
        ({"question": "q", "worse": "b", "better": "a"}, {"prompt": "question", "completion": "better", "rejected": "worse"}),
        ({"conversations": [user("q")], "chosen": said("a"), "rejected": said("b")},
         {"prompt": "conversations", "completion": "chosen", "rejected": "rejected"}),
        ({"prompt": "q", "chosen": [user("q"), said("a")], "rejected": [user("q"), said("b")]},
         {"completion": "chosen", "rejected": "rejected"}),
        ({"rejected": "b", "answer": "a", "question": "q"}, {"prompt": "question", "completion": "answer"}),
    ],
)  # fmt: skip
def test_pairs_are_guessed_from_their_names(record, expected):
    assert choice.guess(tables.of_records([record])) == expected


def test_thumbs_are_guessed_where_there_are_both_kinds():
    rows = [{"prompt": "q", "completion": "a", "label": mark} for mark in (True, False)]
    assert choice.guess(tables.of_records(rows)) == {"prompt": "prompt", "completion": "completion", "label": "label"}
    assert "label" not in choice.guess(tables.of_records(rows[:1]))
    talks = [{"messages": [user("q"), said("a")], "label": mark} for mark in ("up", "DOWN")]
    assert choice.guess(tables.of_records(talks)) == {"completion": "messages", "label": "label"}
    classes = [{"text": "q", "label": mark} for mark in ("0", "1")]  # classes to learn, no thumbs
    assert choice.guess(tables.of_records(classes)) == {"prompt": "text", "completion": "label"}


@pytest.mark.parametrize(
    "record",
    [
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        {"prompt": [user("q")], "chosen": said("a"), "rejected": [said("b")]},
        {"chosen": [user("q"), said("a")], "rejected": [user("q"), said("b")]},
    ],
)
def test_a_pair_is_the_same_from_text_and_from_conversations(record):
    table = tables.of_records([record])
    (row,), _, _ = choice.rows(tables.parse(table.canonical()), Columns(**choice.guess(table)), "chat")
    assert row == Pair("q", "a", rejected="b")


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        ({"rejected": "Gladly: 0."}, "1 row is left out: the better and the worse answer are the same."),
        ({"rejected": " "}, "1 row with an empty answer is left out."),
        ({"chosen": ""}, "1 row with an empty answer is left out."),
        ({"prompt": ""}, "1 row without a prompt is left out: answers are judged as answers to one."),
    ],
)
def test_what_is_wrong_with_a_pair_is_one_sentence(bad, sentence):
    records = pairs()
    records[0] |= bad
    seen = preview.preview(tables.of_records(records), PAIRS, "plain", Letters().pair)
    assert sentence in seen.warnings and seen.train + seen.held_out == 29
    few = tables.of_records([{**record, "rejected": record["chosen"]} for record in pairs()])
    with pytest.raises(Unreadable, match=r"0 different pairs; 20 are needed\. 30 rows are left out: the better and"):
        own_task.find(few, PAIRS, "chat")


def test_answers_to_different_prompts_are_no_pair():
    records = [
        {"chosen": [user(f"{i}"), said("a")], "rejected": [user(f"{i or 'other'}"), said("b")]} for i in range(30)
    ]
    table = tables.of_records(records)
    seen = preview.preview(table, Columns(**choice.guess(table)), "chat", Letters().pair)
    assert "1 row is left out: their two answers are to different prompts." in seen.warnings


@pytest.mark.parametrize(
    ("columns", "part", "words"),
    [
        ({"prompt": "prompt", "completion": "chosen", "rejected": "chosen"}, "rejected", "both the column “chosen”"),
        ({"completion": "chosen", "rejected": "rejected"}, "prompt", "say which column it is"),
        ({"prompt": "prompt", "completion": "chosen", "rejected": "rejected", "label": "label"}, "label", "not both"),
        ({"prompt": "prompt", "completion": "chosen", "rejected": "nope"}, "rejected", "There is no column “nope”"),
    ],
)
def test_a_choice_that_cannot_be_is_one_sentence_at_its_part(columns, part, words):
    ((found, sentence),) = choice.problems(tables.of_records(pairs(label="up")), Columns(**columns))
    assert found == part and words in sentence


def test_a_thumb_that_says_nothing_is_left_out_and_both_kinds_are_needed():
    table = thumbs()
    odd = tables.Table(table.columns, (*table.rows, ("x?", "x", "perhaps")))
    assert own_task.find(odd, THUMBS, "chat").left_out["unmarked"] == 1
    with pytest.raises(Unreadable, match="1 answer with a thumb down; at least 10 of each kind"):
        own_task.find(thumbs(bad=1), THUMBS, "chat")


def test_what_is_liked_is_held_out_for_its_loss_and_what_is_not_to_be_measured():
    split = own_task.find(thumbs(40, 30), THUMBS, "chat").split
    assert {type(row) for row in (*split.train, *split.held_out, *split.disliked)} == {Thumb}
    assert all(row.is_good for row in split.held_out) and not any(row.is_good for row in split.disliked)
    assert len(split.train) + len(split.held_out) + len(split.disliked) == 70 and split.disliked
    asked = {normal(row.prompt) for row in (*split.held_out, *split.disliked)}
    assert not asked & {normal(row.prompt) for row in split.train}


def test_the_preview_shows_both_answers_of_a_pair_and_the_thumb_of_one():
    letters = Letters()
    seen = preview.preview(tables.of_records(pairs()), PAIRS, "plain", letters.pair)
    for example in seen.as_json()["examples"]:
        better, worse = ("".join(side["tokens"]) for side in (example, example["rejected"]))
        prompt, _, end = better.partition("\n")
        assert end.startswith("Gladly") and worse == f"{prompt}\nNo {prompt[:-1]}.$"
        for side in (example, example["rejected"]):
            learnt = "".join(t for t, counts in zip(side["tokens"], side["in_loss"], strict=True) if counts)
            assert f"{prompt}\n{learnt}" == "".join(side["tokens"])
    shown = preview.preview(thumbs(), THUMBS, "plain", letters.pair, count=40).as_json()["examples"]
    assert all(e["good"] == ("good" in "".join(e["tokens"])) for e in shown) and len({e["good"] for e in shown}) == 2
    assert (
        "In 100 % of the pairs the better answer is the longer one: its length alone may be what is learnt."
        in seen.warnings
    )
    warnings = preview.preview(thumbs(), THUMBS, "plain", letters.pair).warnings
    assert "20 rows have a thumb down: where answers are imitated, without them." in warnings
    short = PAIRS.model_copy(update={"max_length": 9})
    warnings = preview.preview(tables.of_records(pairs()), short, "plain", letters.pair).warnings
    assert any("of 60 answers are longer than 9 tokens" in w and "of the 6 shown" in w for w in warnings)


def spec_of(columns, objective):
    key = keep.save(tables.of_records(pairs()) if columns is PAIRS else thumbs(), ANNA)
    return specs.build(
        RunSpec, {"model": "a/b", "method": "lora", "task": key, "data": columns, "objective": objective}
    )


def test_the_task_is_what_the_objective_reads():
    dpo, kto, sft = (spec_of(PAIRS, "dpo"), spec_of(THUMBS, "kto"), spec_of(THUMBS, "sft"))
    assert tasks.of(dpo).feedback == "pairs" and {PREFERS, GAINED} <= set(tasks.metrics(dpo))
    assert tasks.of(kto).feedback == "thumbs" and tasks.metrics(kto)[-1] == GAINED
    assert tasks.of(sft).feedback == "answers" and all(row.is_good for row in tasks.of(sft).split().train)
    assert spec_of(PAIRS, "kto").objective == "kto"  # a pair is two thumbs
    plain = {**spec_of(PAIRS, "sft").model_dump(mode="json"), "data": {"prompt": "prompt", "completion": "chosen"}}
    before = specs.build(RunSpec, plain)
    assert "rejected" not in specs.canonical(before)["data"] and before.run_id != spec_of(PAIRS, "sft").run_id


def test_the_command_line_names_the_columns(tmp_path):
    file = tmp_path / "pairs.jsonl"
    file.write_text(
        "".join(json.dumps({"q": r["prompt"], "a": r["chosen"], "b": r["rejected"]}) + "\n" for r in pairs())
    )
    found = own.bring(str(file), ["prompt=q", "chosen=a", "rejected=b"], "")
    assert found.columns == Columns(prompt="q", completion="a", rejected="b") and found.template == templates.CHAT
    for mapping, words in (
        (["prompt=q", "chosen=a", "completion=b"], "“completion” is mapped twice, to “a” and to “b”."),
        (["prompt=q", "chosen=a", "rejected=a"], "both the column “a”"),
        (["better=a"], "is not PART=COLUMN; parts are prompt, completion, rejected, label,"),
    ):
        with pytest.raises(SpecError, match=words):
            own.bring(str(file), mapping, "")
