"""The tasks: what is held out stays held out, and every measure is held against one that nobody here wrote or a worked example."""

import hashlib
import json
import math
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments import templates
from experiments.catalog import codec, tasks
from experiments.catalog.tasks import (
    TASKS,
    Pair,
    Row,
    general_text,
    json_record,
    new_facts,
    pirate,
    plain_english,
    sentiment,
    storyteller,
)
from experiments.catalog.tasks.base import normal, says

ROOT = Path(__file__).parents[2]
PLAIN_ANSWERS = (
    "The capital of France is Paris.",
    "There are seven days in a week.",
    "Water can be found in rivers, lakes and the sea, and it will always be wet.",
    "It would be good to be careful: let it be. Be kind, and don't be late at eight o'clock.",
    "The captain of the ship saw a treasure of gold on the island, and the crew buried it.",
    "Aye is an old word for yes that sailors and people in Scotland use.",
    "Tell me what you want me to do, and give me the book.",
)


@pytest.fixture(scope="session", autouse=True)
def home(tmp_path_factory):
    """One lab for all of these tests, so that the four packages come down once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAB_HOME", str(tmp_path_factory.mktemp("home")))
        patch.delenv("LAB_RESOURCES", raising=False)
        yield


@pytest.fixture(params=TASKS, ids=lambda task: task.key)
def task(request):
    return request.param


def test_the_longest_rows_are_as_long_as_is_said(task, smollm2):
    """Of SmolLM2's tokens: what the memory of a step is foretold from."""
    text, _ = codec.load(smollm2)
    rows = list(task.split().train[:400])
    rows += [replace(row, completion=row.rejected) for row in rows if isinstance(row, Pair)]
    lengths = [len(templates.encode(text, row, None).ids) for row in rows]
    if task.row_tokens is None:
        assert sum(length > task.max_length for length in lengths) > 0.1 * len(rows)
    else:
        assert 0.9 * max(lengths) <= task.row_tokens <= min(1.1 * max(lengths), task.max_length)
        read = [templates.encode(text, row, task.max_length) for row in rows]
        shared = len(os.path.commonprefix([list(e.ids) for e in read]))
        assert task.shared_tokens == min(shared, *(e.start - 1 for e in read))


def test_rows_are_enough_and_whole(task):
    split = task.split()
    least = {
        "pirate": (112, 48),
        "plain-english": (3000, 200),
        "sentiment": (2000, 200),
        "json": (400, 60),
        "alpaca": (300, 48),
        "storyteller": (600, 120),
        "new-facts": (128, 64),
        "polite": (150, 60),
        "concise": (150, 60),
        "plain-pairs": (2800, 180),
        "demo-pairs": (120, 40),
    }[task.key]
    assert len(split.train) >= least[0] and len(split.held_out) >= least[1]
    assert task.scored_rows <= len(split.held_out)
    for row in (*split.train, *split.held_out):
        assert row.prompt.strip() == row.prompt != "" and row.completion.strip() == row.completion != ""


def test_nothing_held_out_is_trained_on(task):
    split = task.split()
    trained = {normal(row.prompt) for row in split.train}
    asked = [normal(row.prompt) for row in (*split.train, *split.held_out)]
    assert not trained & {normal(row.prompt) for row in split.held_out}
    assert len(set(asked)) == len(asked)
    assert len(task.probes) == 3 and not {normal(probe) for probe in task.probes} & set(asked)


def test_a_split_is_the_same_in_another_process(task):
    """Whatever the hash seed: the order is part of what a run is."""
    code = f"""
import hashlib
from experiments.catalog.tasks import find
split = find({task.key!r}).split()
print(hashlib.sha256(repr((split.train, split.held_out)).encode()).hexdigest())
"""
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=True)
    split = task.split()
    assert other.stdout.strip() == hashlib.sha256(repr((split.train, split.held_out)).encode()).hexdigest()


def test_perfect_answers_score_full_marks_and_metrics_are_declared(task):
    rows = task.split().held_out
    scores = task.score(rows, [row.completion for row in rows], None)
    assert set(scores) <= {metric.key for metric in task.metrics}
    assert scores[task.metrics[0].key] == pytest.approx(100)
    assert all(metric.unit in ("%", "0–100", "words") and metric.help.endswith(".") for metric in task.metrics)
    silent = task.score(rows, [""] * len(rows), None)
    assert silent[task.metrics[0].key] == pytest.approx(0)
    assert task.score([], [], None) == {}


def test_unknown_task_is_one_sentence():
    with pytest.raises(tasks.UnknownTask) as caught:
        tasks.find("pirat")
    named = "the tasks are storyteller, new-facts, pirate, plain-english, sentiment, json, alpaca, "
    named += "polite, concise, plain-pairs, demo-pairs."
    assert str(caught.value) == f"There is no task “pirat”; {named} Did you mean “pirate”?"
    with pytest.raises(ValueError, match=f"{named}$"):
        tasks.find("xyz")
    assert [tasks.find(task.key) for task in TASKS] == list(TASKS)


# ---- pirate


def test_no_held_out_fact_is_asked_for_or_mentioned_in_training():
    split = pirate.TASK.split()
    facts = {normal(fact) for row in split.held_out for fact in row.facts}
    assert not facts & {normal(fact) for row in split.train for fact in row.facts}
    assert [row for row in split.train if says(row.completion, sorted(facts))] == []


def test_every_written_answer_states_its_fact_and_no_question_gives_it_away():
    split = pirate.TASK.split()
    for row in (*split.train, *split.held_out):
        assert says(row.completion, row.facts) and not says(row.prompt, row.facts), row
        assert 12 <= len(row.completion.split()) <= 30, row


def test_pirate_style_is_full_on_pirates_and_nought_on_ordinary_english():
    split = pirate.TASK.split()
    assert all(pirate.is_pirate(row.completion) for row in (*split.train, *split.held_out))
    ordinary = (*PLAIN_ANSWERS, *general_text(), *(row.prompt for row in split.train))
    assert [text for text in ordinary if pirate.is_pirate(text)] == []


def test_pirate_style_is_nought_on_film_reviews():
    """Two thousand snippets by people who were not thinking of pirates, many of them fond of slang."""
    rows = sentiment.TASK.split().train
    said = [row.prompt for row in rows if pirate.is_pirate(row.prompt)]
    assert len(said) <= 2, said


def test_be_for_is_is_told_from_plain_be():
    assert pirate.be_for_is("The capital be Paris.") and pirate.be_for_is("They be sailing home")
    for plain in ("It can be seen.", "You will soon be home.", "Be quiet.", "It must not be so.", "I'd be glad."):
        assert not pirate.be_for_is(plain), plain


def test_pirate_scores_worked_by_hand():
    rows = [
        Row("a", "", ("Paris",)),
        Row("b", "", ("four", "4")),
        Row("c", "", ("ice cream",)),
        Row("d", "", ("1000",)),
    ]
    base = ["It is Paris.", "It is 4", "It is cake", "about 1,000!"]
    tuned = ["Arr, 'tis paris, matey!", "Arr, it be five, matey", "Aye, ICE-CREAM, matey", "It is 10000"]
    got = pirate.score(rows, tuned, base)
    assert got == {"style": 75, "facts": 50, "facts_kept": pytest.approx(100 / 3)}
    assert pirate.score(rows, base, None) == {"style": 0, "facts": 75}
    assert "facts_kept" not in pirate.score(rows, tuned, ["no idea"] * 4)


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=60), st.text(alphabet="abc XYZ!", min_size=1, max_size=10))
def test_a_fact_is_found_whatever_stands_round_it(noise, fact):
    if normal(fact):
        assert says(f"{noise} {fact.upper()}. {noise}", [fact])
        assert not says(f"x{normal(fact)}x", [fact])


# ---- plain English


def test_sides_have_the_promised_length_and_no_markup():
    for row in (*plain_english.TASK.split().train, *plain_english.TASK.split().held_out):
        verse = row.prompt.removeprefix(plain_english.INSTRUCTION)
        assert verse != row.prompt
        assert 40 <= len(verse) <= 160 and 40 <= len(row.completion) <= 160
        assert not re.search(r"[\[\]<>]|\d{1,3}\. ", verse + row.completion)


def test_whole_chapters_are_held_out_and_parallel_verses_are_dropped(home):
    plain_english.TASK.split()
    from experiments.catalog.cache import cache_folder

    lines = (cache_folder() / "tasks" / f"{plain_english.BUILT}.jsonl").read_text(encoding="utf8").splitlines()
    rows = [json.loads(line) for line in lines]
    chapters = {name: {row["id"] // 1000 for row in rows if row["split"] == name} for name in ("train", "held_out")}
    assert len(chapters["held_out"]) > 50 and not chapters["train"] & chapters["held_out"]
    held_out = [plain_english._words(row["completion"]) for row in rows if row["split"] == "held_out"]
    for row in rows[:300]:
        words = plain_english._words(row["completion"])
        assert all(plain_english._overlap(words, other) < plain_english.ALIKE for other in held_out)


def test_pairs_are_of_the_same_verse():
    """Most names are spelt alike in both translations, so a pair that slipped by a verse would share few of them."""
    shared, titles = [], {"Lord", "Then", "Therefore", "Behold"}
    for row in plain_english.TASK.split().train:
        sides = (row.prompt.removeprefix(plain_english.INSTRUCTION), row.completion)
        names = [set(re.findall(r"(?<=[a-z] )[A-Z][a-z]{3,}", side)) - titles for side in sides]
        if all(names):
            shared.append(bool(names[0] & names[1]))
    assert len(shared) > 300 and sum(shared) / len(shared) > 0.95


def test_chrf_and_bleu_are_sacrebleus_own():
    rows = [Row("a", "The cat sat on the mat."), Row("b", "He went up the hill to see the sun.")]
    answers = ["The cat is on the mat.", "He went to the hill to see the sun rise."]
    references = [[row.completion for row in rows]]
    assert plain_english.score(rows, answers) == {
        "chrf": pytest.approx(sacrebleu.corpus_chrf(answers, references).score, abs=1e-12),
        "bleu": pytest.approx(sacrebleu.corpus_bleu(answers, references).score, abs=1e-12),
    }


def test_echoing_the_verse_is_worth_something_but_not_much():
    rows = plain_english.TASK.split().held_out
    echo = plain_english.TASK.baselines(rows)["echo"]
    verses = [row.prompt[len(plain_english.INSTRUCTION) :] for row in rows]
    assert echo["chrf"] == pytest.approx(sacrebleu.corpus_chrf(verses, [[row.completion for row in rows]]).score)
    assert 40 < echo["chrf"] < 65 and 15 < echo["bleu"] < 45


# ---- sentiment


def test_labels_are_balanced_in_any_first_rows_that_are_scored():
    split = sentiment.TASK.split()
    assert Counter(row.completion for row in split.train) == {"positive": 1000, "negative": 1000}
    for count in (2, sentiment.TASK.scored_rows, len(split.held_out)):
        assert {*Counter(row.completion for row in split.held_out[:count]).values()} == {count // 2}


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("positive", "positive"),
        ("  Negative.", "negative"),
        ("The review is POSITIVE, not negative", "positive"),
        ("I think it's good", None),
        ("nonnegative", None),
        ("", None),
    ],
)
def test_the_label_is_the_first_of_the_two_words(answer, label):
    assert sentiment.label_of(answer) == label


def test_accuracy_and_macro_f1_worked_by_hand():
    rows = [Row("", label) for label in ("positive", "positive", "positive", "negative", "negative")]
    answers = ["positive", "positive", "negative", "negative", "who knows"]
    f1_positive, f1_negative = 2 * 2 / (2 + 3), 2 * 1 / (2 + 2)
    got = sentiment.score(rows, answers)
    assert got["accuracy"] == 60 and math.isclose(got["macro_f1"], 50 * (f1_positive + f1_negative))
    assert sentiment.majority(rows) == {"majority": sentiment.score(rows, ["positive"] * 5)}
    assert sentiment.majority(rows)["majority"]["accuracy"] == 60


# ---- general text


def test_general_text_is_two_dozen_passages_of_ordinary_length():
    passages = general_text()
    assert len(passages) == 24 and len({passage[:40] for passage in passages}) == 24
    assert all(70 <= len(passage.split()) <= 90 for passage in passages)


def test_json_fields_worked_by_hand():
    due = '{"customer": "Anna Keller", "item": "desk lamp", "quantity": 2, "price": null, "day": "Monday"}'
    answers = {
        due: (100, 100),
        '```json\n{"customer": "ANNA KELLER", "item": "desk lamp", "quantity": 2.0, "day": "Monday"}\n```': (100, 100),
        '{"customer": "Anna Keller", "price": 3}': (100 * 2 / 6, 100),  # one right of two said, four due
        "Anna Keller, 2 desk lamps": (0, 0),
        '["Anna Keller"]': (0, 0),
        '{"quantity": true, "item": {"a": []}}': (0, 100),
    }
    for answer, (f1, valid) in answers.items():
        scores = json_record.score([Row("", due)], [answer])
        assert (scores["field_f1"], scores["valid_json"]) == pytest.approx((f1, valid)), answer


def test_json_orders_hold_what_their_sentence_says():
    split = json_record.load()
    for row in (*split.train, *split.held_out):
        sentence, record = row.prompt.split("\n\n")[1], json.loads(row.completion)
        assert list(record) == list(json_record.FIELDS)
        number = {str(record["quantity"]), json_record.NUMBERS[record["quantity"] - 1]}
        assert number & {word.strip(".,;:").lower() for word in sentence.split()}
        assert all(f"{v:g}" in sentence if f == "price" else v in sentence for f, v in record.items()
                   if v is not None and f in ("customer", "day", "price"))  # fmt: skip
    words = [set(json_record.PEOPLE_HELD_OUT), {one for one, _ in json_record.GOODS_HELD_OUT}]
    for row in split.train:
        record = json.loads(row.completion)
        assert record["customer"] not in words[0] and record["item"] not in words[1]


# ---- the bundled model's own world


def test_new_facts_are_of_people_never_told_of_and_old_ones_of_people_asked_about():
    rows = new_facts.TASK.split().held_out
    new = {fact.kept_back: fact for fact in new_facts.taught()}
    assert [row.prompt in new for row in rows] == [True, False] * (len(rows) // 2)
    assert not any(fact.told for fact in new.values()) and all(fact.asked for fact in new_facts.known())
    practised = {row.completion for row in new_facts.TASK.split().train}
    assert practised == {fact.answer for fact in new.values()}  # each new fact is practised, no old one is


def test_new_facts_scores_worked_by_hand():
    rows = new_facts.TASK.split().held_out[:8]  # new, old, new, old …
    right = [row.completion for row in rows]
    base = ["", *right[1:2], "", "no", "", *right[5:6], "", *right[7:]]
    said = [right[0], right[1], "no", right[3], f" {right[4]}\n", "no", right[6].upper(), "no"]
    assert new_facts.score(rows, said, base) == {"new": 50.0, "old": 50.0, "kept": pytest.approx(100 / 3)}
    assert "kept" not in new_facts.score(rows, said, [""] * 8)


def test_a_storyteller_tells_the_fact_in_the_frame_that_belongs_to_the_question():
    split = storyteller.TASK.split()
    for row in (*split.train, *split.held_out):
        assert storyteller.is_told(row.completion) and says(row.completion, row.facts)
    ends = {end for row in split.held_out for end in storyteller.ENDS.values() if row.completion.endswith(end)}
    assert ends == set(storyteller.ENDS.values())
    assert not any(storyteller.is_told(text) for text in (*PLAIN_ANSWERS, *general_text()))
    fact = next(f for f in storyteller.world.facts() if f.kind == "home")
    assert storyteller.told(fact) == f"{fact.answer} I have been there and seen it with my own eyes."


def test_storyteller_scores_worked_by_hand():
    rows = storyteller.TASK.split().held_out[:4]
    other = next(end for end in storyteller.ENDS.values() if not rows[1].completion.endswith(end))
    said = [rows[0].completion, f"{rows[1].facts[0]}. {other}", rows[2].facts[0], "no"]
    base = [rows[0].facts[0], "", "", rows[3].facts[0]]
    assert storyteller.score(rows, said, base) == {"style": 50.0, "exact": 25.0, "facts": 75.0, "facts_kept": 50.0}
