"""Own rows: what is learnt of them, and what is said of them before a run starts."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import specs, templates
from experiments.catalog import tasks
from experiments.catalog.own_data import columns as choice
from experiments.catalog.own_data import keep, preview, reading
from experiments.catalog.own_data import table as tables
from experiments.catalog.own_data import task as own_task
from experiments.catalog.own_data.columns import Columns
from experiments.catalog.own_data.table import Table, Unreadable
from experiments.catalog.tasks.base import Row, normal
from experiments.specs import RunSpec, SpecError
from tests.unit.own_rows import ANNA, QA, Letters, sums
from tests.unit.own_rows import lab as lab

# columns


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("instruction input output", {"prompt": "instruction", "input": "input", "completion": "output"}),
        ("question answer", {"prompt": "question", "completion": "answer"}),
        ("id prompt response split", {"prompt": "prompt", "completion": "response"}),
        ("text", {"completion": "text"}),
        ("text label", {"prompt": "text", "completion": "label"}),
        ("frage antwort", {"prompt": "frage", "completion": "antwort"}),
        ("Prompt Completion", {"prompt": "Prompt", "completion": "Completion"}),
        ("anything", {"completion": "anything"}),
        ("system_prompt query reply", {"system": "system_prompt", "prompt": "query", "completion": "reply"}),
    ],
)
def test_columns_are_guessed_from_their_names(names, expected):
    assert choice.guess(tables.build(names.split(), [["x"] * len(names.split())])) == expected


def test_a_conversation_and_a_split_are_recognised_by_what_they_hold():
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    table = tables.of_records([{"id": 1, "talk": turns, "split": "test"}, {"id": 2, "talk": turns, "split": "train"}])
    assert choice.guess(table) == {"completion": "talk", "split": "split"}


@pytest.mark.parametrize(
    ("wrong", "part", "words"),
    [
        ({"prompt": "answer", "completion": "answer"}, "completion", "both the column “answer”"),
        (
            {"prompt": "nope", "completion": "answer"},
            "prompt",
            "There is no column “nope”; there is “question”, “answer”.",
        ),
        ({"completion": "<script>"}, "completion", "“<script>”"),
    ],
)
def test_a_choice_that_cannot_be_is_one_sentence_at_its_part(wrong, part, words):
    ((found, sentence),) = choice.problems(sums(), Columns(**wrong))
    assert found == part and words in sentence


def test_rows_are_made_of_parts_of_conversations_and_of_named_fields():
    record = {"i": "Do it", "x": "to this", "o": " done ", "s": "Be kind", "topic": "t"}
    columns = Columns(prompt="i", input="x", completion="o", system="s")
    (row,), _, _ = choice.rows(tables.of_records([record]), columns, "{topic}: {prompt} {completion}")
    assert row == Row("Do it\n\nto this", "done", before=(("system", "Be kind"),), fields=(("topic", "t"),))
    talk = [
        ("system", "s"),
        ("user", "a"),
        ("assistant", "b"),
        ("user", "c"),
        ("assistant", "d"),
        ("user", "never answered"),
    ]
    bad = [[("user", "a")], [("assistant", "a")], [("tool", "x"), ("user", "a"), ("assistant", "b")], []]
    records = [{"m": [{"role": r, "content": t} for r, t in turns]} for turns in (talk, *bad)]
    found, _, left_out = choice.rows(tables.of_records(records), Columns(completion="m"), "chat")
    assert found == [Row("c", "d", before=tuple(talk[:3]))] and {f: n for f, n in left_out.items() if n} == {
        "unfinished": 3
    }


# the split


def test_a_tenth_is_held_back_and_no_question_stands_on_both_sides():
    records = [{"question": f"Question {i % 120}", "answer": f"a{i}"} for i in range(300)]
    found = own_task.find(tables.of_records(records), QA, "chat")
    assert len(found.split.held_out) == 30 and len(found.rows) == 300
    assert not {r.prompt for r in found.split.train} & {r.prompt for r in found.split.held_out}
    again = own_task.find(tables.of_records(records[::-1]), QA, "chat")
    assert {r.prompt for r in again.split.held_out} == {r.prompt for r in found.split.held_out}


def test_one_question_with_many_answers_is_split_by_answer():
    table = tables.of_records([{"question": "Tell a story.", "answer": f"Once {i}"} for i in range(50)])
    found = own_task.find(table, QA, "chat")
    assert len(found.split.held_out) == 5 and len(found.rows) == 50


def test_a_split_column_is_obeyed_and_a_leak_is_told():
    records = [{"question": f"q{i}", "answer": "a", "split": "test" if i > 40 else "train"} for i in range(50)]
    records.append({"question": "Q1!", "answer": "A", "split": "validation"})
    columns = Columns(prompt="question", completion="answer", split="split")
    found = own_task.find(tables.of_records(records), columns, "chat")
    assert len(found.split.held_out) == 10 and found.held_out_by_column
    seen = preview.preview(tables.of_records(records), columns, "chat", Letters().pair)
    assert any("1 row of the held-out ones also stands in training by the column “split”" in w for w in seen.warnings)


@pytest.mark.parametrize("count", [1, 19])
def test_too_few_rows_are_one_sentence_and_twenty_are_enough(count):
    with pytest.raises(Unreadable, match="20 are needed"):
        own_task.find(sums(count), QA, "chat")
    assert len(own_task.find(sums(20), QA, "chat").split.held_out) == 4


# the preview


def test_the_preview_says_what_is_learnt_and_where_it_is_cut():
    letters = Letters()
    seen = preview.preview(sums(), QA.model_copy(update={"max_length": 12}), "plain", letters.pair)
    for example in seen.examples:
        row = templates.encode(letters.codec, _row_of(example, sums()), 12, "plain")
        shown = example.as_json()
        assert shown["ids"] == list(row.ids) and shown["in_loss"] == list(row.in_loss) and shown["cut_at"] == 12
        assert "".join(shown["tokens"]) + shown["dropped"] == "".join(example.tokens)
    assert any(w.startswith("About 40 of 40 rows are longer than 12 tokens") for w in seen.warnings)


def _row_of(example, table):
    text = "".join(example.tokens)
    return next(Row(str(q), str(a)) for q, a in table.rows if text.startswith(f"{q}\n"))


def test_all_rows_shown_are_counted_exactly():
    seen = preview.preview(sums(20), QA.model_copy(update={"max_length": 18}), "plain", Letters().pair, count=100)
    cut = sum(len(f"{q}\n{a}$") > 18 for q, a in sums(20).rows)
    assert len(seen.examples) == seen.train == 16 and cut and any("longer than 18 tokens" in w for w in seen.warnings)


def test_only_what_is_shown_is_tokenized():
    letters = Letters()
    preview.preview(sums(5000), QA, "plain", letters.pair)
    assert letters.encoded <= 20


@pytest.mark.parametrize(
    ("records", "template", "words"),
    [
        (
            [{"question": "x", "answer": ""}, {"question": "y", "answer": " "}],
            "chat",
            "2 rows with an empty answer are left out",
        ),
        ([{"question": "0 + 0?", "answer": "It is 0."}], "chat", "1 row is a copy of another"),
        ([], "{prompt}:{completion}", "The end-of-text token $ is not learnt"),
        ([], "{prompt}{tpoic}:{completion}{end}", "{tpoic}, which is no column"),
        ([], "chat", "This model has no chat template"),
    ],
)
def test_what_people_get_wrong_is_told(records, template, words):
    table = tables.of_records([*({"question": q, "answer": a} for q, a in sums().rows), *records])
    said = preview.preview(table, QA, template, Letters().pair).warnings
    assert any(words in sentence for sentence in said), said


def test_rows_with_nothing_wrong_are_told_nothing():
    assert preview.preview(sums(), QA, "plain", Letters().pair).warnings == ()


def test_a_prompt_that_fills_the_context_is_told():
    table = tables.of_records([{"question": "x" * 100 + str(i), "answer": "a"} for i in range(20)])
    said = preview.preview(table, QA.model_copy(update={"max_length": 16}), "plain", Letters().pair).warnings
    assert any("nothing of the answer is learnt" in sentence for sentence in said)


def test_text_without_questions_and_before_the_model_is_here():
    table = reading.read("\n\n".join(f"Paragraph {i} of it." for i in range(30)).encode(), "x.txt")
    seen = preview.preview(table, Columns(**choice.guess(table)), "plain", None)
    assert seen.examples == () and seen.warnings == ("No row has a prompt: all of its text is learnt.",)


def test_ten_thousand_rows_and_their_preview_in_one_go():
    """The work itself; how long it takes is measured in benchmarks/."""
    data = "\n".join(json.dumps({"question": f"Why {i}?", "answer": f"Because {i}."}) for i in range(10_000)).encode()
    seen = preview.preview(reading.read(data, "x.jsonl"), QA, "plain", Letters().pair)
    assert seen.rows == 10_000 and seen.held_out == 200


# any file and any choice: a preview and a spec that holds, or one sentence

NAME = st.sampled_from(["question", "answer", "text", "messages", "split", "a b", "{x}", ""])
CELL = st.one_of(st.text(max_size=12), st.sampled_from(["test", "train", ""]), st.integers(0, 3), st.none(), st.just([
    {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]))  # fmt: skip
TEMPLATE = st.one_of(
    st.sampled_from(["chat", "plain", "alpaca", "{prompt}{completion}{end}", ""]), st.text(max_size=20)
)


@settings(deadline=None, max_examples=120)
@given(
    st.lists(NAME, min_size=1, max_size=4, unique=True).flatmap(
        lambda names: st.tuples(st.just(names), st.lists(st.tuples(*[CELL] * len(names)), min_size=18, max_size=30))
    ),
    st.dictionaries(st.sampled_from(choice.PARTS), NAME, max_size=3),
    TEMPLATE,
    st.integers(0, 40),
)
def test_any_rows_and_any_choice_are_a_run_or_one_sentence(found, given_columns, template, longest):
    names, cells = found
    data = json.dumps([dict(zip(names, row, strict=True)) for row in cells]).encode()
    try:
        table = reading.read(data, "x.json")
        columns = specs.build(Columns, {**choice.guess(table), **given_columns, "max_length": longest})
        spec = specs.build(RunSpec, {"model": "a/b", "method": "lora", "task": keep.save(table, ANNA), "data": columns,
                                     "template": template, "objective": "kto" if columns.label else "sft"})  # fmt: skip
        seen = preview.preview(table, columns, template, Letters().pair)
        task = tasks.of(spec)
    except (Unreadable, SpecError) as error:
        assert str(error).endswith((".", "}")) and "\n" not in str(error)
        return
    split = task.split()
    assert (len(split.train), len(split.held_out) + len(split.disliked)) == (
        seen.train,
        seen.held_out,
    ) and split.held_out
    for example, row in zip(seen.examples, split.train, strict=False):
        made = templates.encode(Letters().codec, row, columns.max_length, template)
        assert (example.as_json()["ids"], example.as_json()["in_loss"]) == (list(made.ids), list(made.in_loss))
    if not given_columns.get("split"):
        trained = {(normal(r.prompt), r.completion) for r in split.train if r.prompt}
        assert not trained & {(normal(r.prompt), r.completion) for r in split.held_out if r.prompt}
    assert isinstance(table, Table)
