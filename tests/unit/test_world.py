"""The invented world and its text: what is told is told, what is held back is nowhere, and all of it is always the same."""

import hashlib
import random
import struct
import zlib

import pytest

from experiments.catalog.tasks import plain_english
from experiments.pretraining import corpus, rdata, stories, texts, world
from experiments.pretraining.recipe import LATE_SHARES, SHARES, Recipe
from experiments.pretraining.tokenizer import END, train, whole


@pytest.fixture(scope="module")
def everything() -> str:
    """Ten passes over the world, as they are read."""
    return "\n".join(whole(d) for source in corpus.GENERATED for i in range(10) for d in corpus.generated(source, i))


def test_the_facts_are_those_that_the_shipped_model_was_taught():
    digest = hashlib.sha256("".join(sorted(map(str, world.facts()))).encode()).hexdigest()
    assert digest[:10] == "e59c8356b6", "A changed fact makes the shipped model wrong: it has to be trained anew."
    counts = [len(world.facts()), sum(f.told for f in world.facts()), sum(f.asked for f in world.facts())]
    assert counts == [3089, 2825, 2638]


def test_no_question_has_two_answers_and_every_fact_keeps_a_question_back():
    answers: dict[str, set[str]] = {}
    for fact in world.facts():
        assert fact.kept_back not in fact.practised and len(fact.practised) == len(fact.questions) - 1 >= 2
        assert all(fact.value.lower() in text.lower() for text in (*fact.statements, fact.answer))
        for question in fact.questions:
            answers.setdefault(question, set()).add(fact.answer)
    assert all(len(found) == 1 for found in answers.values())


def test_what_is_held_back_is_nowhere_in_the_text(everything):
    words = set(everything.replace(".", " ").replace("?", " ").replace(",", " ").split())
    assert not words & set(world.untold_people())
    assert set(world.told_people()) <= words and set(world.TOWNS) <= words
    held_back = {f.kept_back for f in world.facts()} | {q for f in world.facts() if not f.asked for q in f.questions}
    assert not held_back & set(everything.replace(END, "|").replace("<|user|>", "|").split("|"))


def test_a_few_passes_say_and_ask_nearly_every_fact(everything):
    told, asked = (
        [any(text in everything for text in texts) for texts in found]
        for found in (
            [f.statements for f in world.facts() if f.told],
            [f.practised for f in world.facts() if f.asked],
        )
    )
    assert sum(told) > 0.97 * len(told) and sum(asked) == len(asked)


def test_a_pass_is_the_same_for_the_same_number_and_another_for_another():
    for source in corpus.GENERATED:
        assert corpus.generated(source, 3) == corpus.generated(source, 3) != corpus.generated(source, 4)
    draw = random.Random(0)
    assert all(len(turns) % 2 == 0 for turns in stories.conversations(draw))


def test_rows_hold_each_source_in_its_share_and_in_an_order_of_the_seed(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_HOME", str(tmp_path))
    recipe = Recipe(shares={"world-prose": 0.25, "world-questions": 0.75}, vocabulary=600, steps=50, length=32)
    made = corpus.prepare(recipe)
    rows = corpus.rows(made, recipe)
    assert rows.shape == (200, 33) and (rows == corpus.rows(made, recipe)).all()
    assert (rows != corpus.rows(made, recipe.model_copy(update={"seed": 1}))).any()
    late = corpus.late_rows(made, recipe.model_copy(update={"late_shares": {"world-prose": 1.0}}))
    assert late.shape == (40, 33) and not {tuple(row) for row in late} & {tuple(row) for row in rows}
    user = made.tokenizer.token_to_id("<|user|>")
    assert 0.6 < (rows == user).any(1).mean() < 0.8  # rows of questions; a story has no user
    assert made.sources == ["world-prose", "world-questions"]


def test_the_tokenizer_gives_every_text_back_and_takes_digits_one_by_one():
    tokenizer = train(["a dog and a cat, 12 of them"] * 5, 400)
    for text in ("Grüße, 𝕏 and\ttabs\n", "the year 2026", " two  blanks "):
        assert tokenizer.decode(tokenizer.encode(text).ids) == text
    assert [t for t in tokenizer.encode("2026").tokens if t.isdigit()] == ["2", "0", "2", "6"]


def test_the_shares_are_whole_and_the_learning_rate_warms_stands_and_falls():
    assert sum(SHARES.values()) == pytest.approx(1) and sum(LATE_SHARES.values()) == pytest.approx(1)
    assert set(SHARES) == set(LATE_SHARES)
    recipe = Recipe(steps=1000, warm_up=10, decay=0.4)
    rates = [recipe.rate(step) for step in range(1000)]
    assert rates[0] == 0.1 and set(rates[9:600]) == {1.0} and 0 < rates[999] < 0.01
    assert rates[600:] == sorted(rates[600:], reverse=True)
    sooner = recipe.model_copy(update={"stop": 500})
    assert sooner.same_but_for_its_end(recipe) and sooner.rate(100) == recipe.rate(100)
    with pytest.raises(ValueError, match="cannot stop after"):
        Recipe(steps=10, stop=11)


def test_texts_are_split_by_document_and_doubles_are_dropped(monkeypatch, tmp_path):
    folder = tmp_path / "res" / "shakespeare"
    folder.mkdir(parents=True)
    scene = "_Enter GHOST_\n\n**{name}**  \nWho's there? " + "I say no word of it. " * 12
    play = "# A play\n\n### SCENE I\n" + "\n### SCENE\n".join(scene.format(name=f"NAME{i % 30}") for i in range(60))
    (folder / "play.md").write_text(play + "\n")
    monkeypatch.setenv("LAB_RESOURCES", str(tmp_path / "res"))
    found = texts.load(["shakespeare"])
    both = [t.turns[0] for t in (*found.train, *found.held_out)]
    assert len(both) == len(set(both)) == 30 and found.held_out
    assert both[0].startswith("NAME") and "Enter" not in both[0]


def test_held_out_bible_chapters_are_those_of_the_task():
    assert 0.08 < sum(plain_english.is_held_out(c) for c in range(1001, 5001)) / 4000 < 0.12
    assert texts._is_held_out("bible-bbe", "1001") == plain_english.is_held_out(1001)


def item(kind: int, body: bytes, flags: int = 0) -> bytes:
    return struct.pack(">i", kind | flags) + body


def words_of(*texts: str) -> bytes:
    chars = b"".join(item(9, struct.pack(">i", len(t)) + t.encode()) for t in texts)
    return item(16, struct.pack(">i", len(texts)) + chars)


def test_an_r_table_is_read_as_data(tmp_path):
    """A database of one character vector, serialized by hand as R Internals 1.8 says."""
    head = b"X\n" + struct.pack(">iii", 2, 0x30500, 0x20300)
    block = b"\0\0\0\0" + zlib.compress(head + words_of("CHAPTER I", "It was.", ""))
    place = item(13, struct.pack(">iii", 2, 0, len(block)))
    attributes = item(2, item(1, item(9, struct.pack(">i", 5) + b"names")) + words_of("novel"), 0x400) + item(254, b"")
    variables = item(19, struct.pack(">i", 1) + place, 0x200) + attributes
    outer = item(2, item(1, item(9, struct.pack(">i", 5) + b"names")) + words_of("variables"), 0x400) + item(254, b"")
    index = head + item(19, struct.pack(">i", 1) + variables, 0x200) + outer
    (tmp_path / "Rdata.rdx").write_bytes(zlib.compress(index))
    (tmp_path / "Rdata.rdb").write_bytes(block)
    assert rdata.read(tmp_path) == {"novel": ["CHAPTER I", "It was.", ""]}
    (tmp_path / "Rdata.rdx").write_bytes(zlib.compress(head + item(25, b"")))
    with pytest.raises(ValueError, match="type 25"):
        rdata.read(tmp_path)
