"""Own rows: whose they are, what is learnt of them, what is said of them before a run starts."""

import errno
import json
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from experiments import shelf, specs, templates
from experiments.catalog import models, tasks
from experiments.catalog.own_data import columns as choice
from experiments.catalog.own_data import keep, measures, preview, reading
from experiments.catalog.own_data import table as tables
from experiments.catalog.own_data import task as own_task
from experiments.catalog.own_data.columns import Columns
from experiments.catalog.own_data.table import Table, Unreadable
from experiments.catalog.tasks.base import Row, normal
from experiments.jobs import Jobs
from experiments.questions import SampleSpec
from experiments.specs import RunSpec, SpecError
from experiments.store import Store
from experiments.templates import Codec

ANNA, BERT = "anna-" + "a" * 30, "bert-" + "b" * 30


class Letters:
    """A tokenizer with a token for each character, in the shape of `catalog.codec.load`; it counts what it encodes."""

    def __init__(self):
        self.encoded = 0
        self.codec = Codec(self.ids, eos="$")

    def ids(self, text, special):
        self.encoded += 1
        return [ord(c) for c in text]

    def decode(self, ids, skip_special_tokens):
        return "".join(map(chr, ids))

    @property
    def pair(self):
        return self.codec, self


def sums(count=40, **more):
    return tables.of_records([{"question": f"{i} + {i}?", "answer": f"It is {2 * i}.", **more} for i in range(count)])


QA = Columns(prompt="question", completion="answer")


@pytest.fixture(autouse=True)
def lab(home):
    keep._load.cache_clear()
    own_task.of.cache_clear()
    return home


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


# whose they are


def test_rows_are_kept_whole_by_their_hash_and_given_to_who_brought_them():
    key = keep.save(sums(), ANNA)
    assert keep.KEY.fullmatch(key) and key == f"data:{tables.digest(sums().canonical())}"
    assert keep.load(key) == sums() and keep.owns(key, ANNA)
    assert not keep.owns(key, BERT) and not keep.owns(key, "") and not keep.owns("data:../../x", ANNA)
    assert keep.owns(key, "command line 12")
    assert keep.save(sums(), BERT) == key and keep.owns(key, BERT) and keep.owns(key, ANNA)
    assert not any(ANNA in str(path) for path in keep.folder().rglob("*"))


def test_two_at_once_do_not_meet():
    many = [sums(40 + i % 3) for i in range(12)]
    keys: list[str] = []
    threads = [threading.Thread(target=lambda t=t: keys.append(keep.save(t, ANNA))) for t in many]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(keys) == 12 and len(set(keys)) == 3 and all(keep.load(k).columns == ("question", "answer") for k in keys)
    assert not list(keep.folder().glob("*.part*"))


def test_rows_that_are_being_written_count_for_nobody(monkeypatch):
    half = keep.folder() / f"{'0' * 32}.part"
    half.mkdir(parents=True)
    (half / "rows.jsonl").write_bytes(b"x" * 1000)
    monkeypatch.setattr(keep, "LAB_BYTES", len(sums().canonical()))
    assert keep.owns(keep.save(sums(), ANNA), ANNA) and keep.tidy((), older_s=1e9) == []
    assert half.is_dir()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_fills_leaves_nothing_half_made(monkeypatch, code):
    write = Path.write_bytes

    def full(path, data):
        write(path, data[: len(data) // 2])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(Unreadable, match="not saved: the disk of this lab is full or cannot be written.$"):
        keep.save(sums(), ANNA)
    assert [p for p in keep.folder().iterdir() if p.suffix != ".lock"] == []
    monkeypatch.undo()
    assert keep.owns(keep.save(sums(), ANNA), ANNA)


def test_a_visitor_keeps_so_much_and_no_more(monkeypatch):
    size = len(sums().canonical())
    monkeypatch.setattr(keep, "QUOTA_BYTES", int(2.5 * size))
    key = keep.save(sums(), ANNA)
    keep.save(sums(41), ANNA)
    with pytest.raises(Unreadable, match="at most 0 MB are kept for one visitor"):
        keep.save(sums(42), ANNA)
    assert keep.save(sums(), ANNA) == key  # what is there already takes nothing
    assert keep.owns(keep.save(sums(42), BERT), BERT) and keep.save(sums(43), "command line 1")
    monkeypatch.setattr(keep, "LAB_BYTES", 4 * size)
    with pytest.raises(Unreadable, match="This lab keeps as many rows as it can"):
        keep.save(sums(44), "carl-" + "c" * 30)


def test_rows_that_nobody_uses_go_after_a_day(home):
    store = Store(home / "lab.sqlite")
    used, left = keep.save(sums(), ANNA), keep.save(sums(41), ANNA)
    run = spec_of(used)
    store.open(run.run_id, "train", run.model_dump_json(), ANNA)
    assert shelf.own_rows_in_use(store) == {used}
    assert keep.tidy(shelf.own_rows_in_use(store)) == []
    assert keep.tidy(shelf.own_rows_in_use(store), older_s=-1) == [left]
    assert keep.load(used) == sums() and not keep.owns(left, ANNA)


def test_rows_that_are_gone_or_changed_are_one_sentence():
    key = keep.save(sums(), ANNA)
    file = keep.folder() / key.removeprefix("data:") / "rows.jsonl"
    file.write_bytes(file.read_bytes() + b"\n")
    with pytest.raises(Unreadable, match="changed"):
        keep.load(key)
    file.unlink()
    with pytest.raises(Unreadable, match="not on this machine"):
        keep.load(key)
    assert keep.save(sums(), ANNA) == key and keep.load(key) == sums()


# specs and runs


def spec_of(key, **more):
    base = {"model": "a/b", "method": "lora", "task": key, "data": {"prompt": "question", "completion": "answer"}}
    return specs.build(RunSpec, base | more)


def test_hash_columns_and_template_are_part_of_what_a_run_is():
    key = keep.save(sums(), ANNA)
    ids = {spec_of(key).run_id, spec_of(key, template="alpaca").run_id, spec_of(keep.save(sums(41), ANNA)).run_id}
    ids.add(spec_of(key, data={"completion": "answer"}).run_id)
    assert len(ids) == 4
    plain = {"model": "a/b", "method": "lora", "task": "pirate"}
    built = specs.build(RunSpec, plain)
    assert built.run_id == specs.build(RunSpec, {**plain, "data": {"completion": "x"}}).run_id != ""
    assert built.run_id != specs.build(RunSpec, {**plain, "template": "plain"}).run_id


@pytest.mark.parametrize(
    ("change", "field"),
    [({"data": None}, "data"), ({"data": {}}, "data.completion"), ({"data": {"completion": "a", "max_length": 3}}, "data.max_length"),
     ({"template": "no"}, "template"), ({"task": "data:xyz"}, "task"), ({"data": {"completion": "a", "colour": "b"}}, "data.colour")],
)  # fmt: skip
def test_a_wrong_spec_of_own_rows_is_one_sentence_at_its_field(change, field):
    with pytest.raises(SpecError) as caught:
        spec_of("data:" + 32 * "0", **change)
    (problem,) = caught.value.problems
    assert problem.field == field and problem.sentence.endswith(".")


def test_rows_longer_than_the_models_context_are_a_sentence_at_their_field():
    arch = models.arch(models.find("lab-nano"))
    spec = spec_of("data:" + 32 * "0", data={"completion": "answer", "max_length": 2048})
    with pytest.raises(SpecError, match=f"This model reads at most {arch.max_length:,} tokens of a row") as caught:
        specs.check(spec, arch)
    assert [problem.field for problem in caught.value.problems] == ["data.max_length"]


class Nothing:
    """An executor that does nothing."""

    def run(self, job):
        pass

    def warm(self, model):
        pass

    def close(self):
        pass


def test_somebody_elses_rows_and_runs_are_refused(home):
    store = Store(home / "lab.sqlite")
    jobs = Jobs(store, Nothing())
    spec = spec_of(keep.save(sums(), ANNA))
    with pytest.raises(SpecError, match="not yours"):
        jobs.submit([spec], BERT)
    assert store.entries() == []
    (ticket,) = jobs.submit([spec], ANNA)
    run = ticket.key.run_id
    assert shelf.may_see(store, run, ANNA) and not shelf.may_see(store, run, BERT)
    question = SampleSpec(model="a/b", runs=(run,), prompt="x")
    with pytest.raises(SpecError, match="no run"):
        jobs.ask(question, BERT)
    assert jobs.ask(question, ANNA).state == "new"
    keep.save(sums(), BERT)  # the same rows: they may ask for the same run, and see it once they have
    assert not shelf.may_see(store, run, BERT)
    jobs.submit([spec], BERT)
    assert shelf.may_see(store, run, BERT)
    jobs.close()


def test_the_task_of_a_run_on_own_rows():
    task = tasks.of(spec_of(keep.save(sums(), ANNA), template="alpaca"))
    split = task.split()
    assert len(split.train) + len(split.held_out) == 40 and task.template == "alpaca" and task.scored_rows == 4
    assert [r.prompt for r in task.asked] == list(task.probes) and set(task.asked) <= set(split.held_out)
    perfect = task.score(split.held_out, [r.completion for r in split.held_out], None)
    assert perfect == pytest.approx({"rouge_l": 100, "chrf": 100, "exact": 100})
    long = tables.of_records([{"question": f"{i}?", "answer": f"{i} " * 400} for i in range(40)])
    task = tasks.of(spec_of(keep.save(long, ANNA)))
    assert task.scored_rows == 0 and task.score(split.held_out, ["x"] * 4, None) == {}
    with pytest.raises(Unreadable, match="no column"):
        tasks.of(spec_of(keep.save(sums(), ANNA), data={"completion": "nope"}))
    assert tasks.find("data:" + 32 * "0").title == "Your own data"


def test_rouge_is_the_librarys_and_exact_match_forgives_case_and_points():
    rows = [Row("", "the cat sat on the mat"), Row("", "Yes!")]
    scorer = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
    said = ["the cats sat there", "yes"]
    expected = sum(scorer.score(r.completion, s)["rougeL"].fmeasure for r, s in zip(rows, said, strict=True)) / 2
    assert measures.rouge_l(rows, said) == pytest.approx(100 * expected)
    assert measures.exact(rows, said) == 50 and measures.exact([Row("", "+")], ["-"]) == 0


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
