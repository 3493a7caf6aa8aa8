"""Steps, an own BPE, vocabulary search, and what the Tokenize tab is told; on small vocabularies trained here."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import gradio as gr
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from experiments.catalog import tokenizers
from experiments.tokenization import steps, training, vocabulary
from experiments.tokenization.base import name_of
from experiments.tokenization.fast import Fast
from experiments.tokenization.plain import Bytes
from experiments.tokenization.ranks import Ranks
from lab_app import token_parts, tokens

TEXT = "the cat sat on the mat; the other cats sat on other mats, and the rats that were there sat, too.\n" * 12
GENERAL = (Path(__file__).parents[2] / "assets" / "general.txt").read_text("utf8")
PAYLOAD = '<img src=x onerror="window.hit=1"><script>window.hit=2</script>'


@pytest.fixture(scope="module")
def made() -> dict:
    return training.train(GENERAL, 600)


def pieces() -> Fast:
    """A WordPiece of a few entries."""
    vocab = ["[UNK]", "un", "##aff", "##able", "##a", "##b", "a", "##ff"]
    made = Tokenizer(models.WordPiece({text: i for i, text in enumerate(vocab)}, unk_token="[UNK]"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.add_special_tokens(["[UNK]"])
    return Fast(made.to_str())


def test_an_own_bpe_compresses_more_with_every_merge_and_comes_back(made):
    sizes, density = zip(*made["curve"], strict=True)
    assert sizes[0] == 257 and sizes[-1] == made["size"] == 600 and list(density) == sorted(density)
    assert density[0] == pytest.approx(1, abs=0.2) and density[-1] > 2
    tokenizer = Fast(made["source"])
    text = "the cat 😀\n"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text
    (exact,) = Tokenizer.from_str(made["source"]).encode_batch([TEXT[:50]])
    assert list(tokenizer.encode(TEXT[:50]).ids) == exact.ids


@pytest.mark.parametrize(
    ("text", "size", "says"), [("short", 500, "at least 200"), (TEXT, 100, "between 257"), (TEXT, 99_999, "and 16,000")]
)
def test_what_cannot_be_trained_is_a_sentence(text, size, says):
    with pytest.raises(ValueError, match=says):
        training.train(text, size)


@pytest.mark.parametrize("word", ["other", "the", "x", "Küste", "😀", "cats"])
def test_merges_end_in_the_tokenizers_own_tokens(made, word):
    tokenizer = Fast(made["source"])
    walked = steps.explain(tokenizer, word)
    assert walked[0].units == tuple(name_of(bytes([b])) for b in word.encode())
    assert list(walked[-1].units) == [tokenizer.piece(i).text for i in tokenizer.encode(word).ids]
    assert [len(a.units) - len(b.units) for a, b in zip(walked, walked[1:], strict=False)] == [1] * (len(walked) - 1)


def test_merges_of_a_table_of_ranks():
    ranks = {bytes([b]): b for b in range(256)} | {b"he": 256, b"th": 257, b"the": 258, b"in": 259}
    tokenizer = Ranks(ranks, r"\w+|\W+", {"<|end|>": 260})
    assert [s.units for s in steps.explain(tokenizer, "then")] == [("t", "h", "e", "n"), ("t", "he", "n"), ("the", "n")]
    assert list(tokenizer.encode("then<|end|>").ids) == [258, ord("n"), 260] and tokenizer.piece(260).special


def test_wordpiece_takes_the_longest_entry_that_fits():
    walked = steps.explain(pieces(), "UNAFFABLE")
    assert walked[-1].units == ("un", "##aff", "##able") and "try" in walked[-1].note
    assert steps.explain(pieces(), "unxyz")[-1].units == ("[UNK]",)


def test_what_has_no_steps_is_a_sentence():
    for tokenizer, word, says in (
        (Bytes(), "x", "no steps"),
        (pieces(), "", "Type a word"),
        (pieces(), "x" * 99, "At most"),
    ):
        with pytest.raises(ValueError, match=says):
            steps.explain(tokenizer, word)
    with pytest.raises(ValueError, match="Only a Unigram"):
        steps.segmentations(Bytes(), "x")


def test_a_vocabulary_is_searched_by_text_pattern_and_id(made):
    tokenizer = Fast(made["source"])
    found = vocabulary.search(tokenizer, "text", "th")
    assert found["found"] >= 2 and all("th" in entry["text"] for entry in found["entries"]) and found["of"] == 600
    exact = vocabulary.search(tokenizer, "regex", "^ ?the$")
    assert {entry["text"] for entry in exact["entries"]} <= {"the", " the"} and exact["found"]
    assert vocabulary.search(tokenizer, "id", "0 1")["entries"][0]["text"] == "<|endoftext|>"
    longest = [len(e["bytes"].split()) for e in vocabulary.search(tokenizer, "longest")["entries"]]
    assert longest == sorted(longest, reverse=True) and longest[0] > 2
    assert vocabulary.search(tokenizer, "strangest")["entries"]


def test_entries_that_never_come_back_are_found():
    ranks = {bytes([b]): b for b in range(256)} | {b"abc": 300}  # no two bytes ever merge
    found = vocabulary.search(Ranks(ranks, r"\w+|\W+", {}), "never")
    assert [entry["id"] for entry in found["entries"]] == []  # tiktoken takes a whole cut that is an entry
    found = vocabulary.search(Ranks(ranks | {b"a b": 301}, r"\w+|\W+", {}), "never")
    assert [entry["id"] for entry in found["entries"]] == [301]


@pytest.mark.parametrize(
    ("kind", "query", "says"),
    [("regex", "(", "no regular expression"), ("regex", r"^(a|aa)+$", "takes too long"), ("id", "x", "whole number"),
     ("id", "9999999", "There is no id"), ("text", "", "Type what"), ("regex", "", "Type a")],
)  # fmt: skip
def test_a_search_that_cannot_be_is_a_sentence(monkeypatch, kind, query, says):
    monkeypatch.setattr(vocabulary, "PATIENCE_S", 0.05)
    ranks = {bytes([b]): b for b in range(256)} | {b"a" * 60 + b"!": 256}
    with pytest.raises(ValueError, match=says):
        vocabulary.search(Ranks(ranks, r"\w+|\W+", {}), kind, query)


# ---- what the page is told


@pytest.fixture
def ask(home, made):
    from experiments.store import Store

    call = tokens.answerer(tokens.Desk(), token_parts.handlers(Store(home / "lab.sqlite")))
    return lambda **request: asyncio.run(call(request))


def settled(ask, **request):
    """The lanes once every tokenizer is open."""
    until = time.monotonic() + 30
    while (answer := ask(what="lanes", **request)).get("more"):
        assert time.monotonic() < until
        time.sleep(0.01)
    return answer


def test_a_vocabulary_is_read_once_for_all_visitors(home, monkeypatch):
    """The tab is built anew for each of them; read for each, three vocabularies took 180 MB a visitor."""
    from experiments.jobs import Jobs
    from experiments.store import Store
    from experiments.workers import Inline
    from lab_app.lab import Lab
    from lab_app.layout import Page, Room
    from lab_app.tabs import tokenize

    store = Store(home / "lab.sqlite")
    lab = Lab(home, store, Jobs(store, Inline(store, home)))
    asks = []
    with gr.Blocks() as blocks:
        page = Page(blocks, gr.BrowserState(None))
        for _ in range(2):
            with gr.Tab("Tokenize") as tab:
                monkeypatch.setattr(tokenize, "drawn", lambda *_, **props: asks.append(*props["server_functions"]))
                tokenize.build(lab, page, Room(tab, [tab.select]))
    lab.jobs.close()
    settled(lambda **request: asyncio.run(asks[0](request)), text="a", keys=["lab-nano"])
    (lane,) = asyncio.run(asks[1]({"what": "lanes", "text": "a", "keys": ["lab-nano"]}))["lanes"]
    assert lane["count"] == 1 and len(asks) == 2


def test_lanes_carry_ids_places_and_what_differs_from_the_text(ask):
    (lane,) = settled(ask, text="é\u0001", keys=["byt5"])["lanes"]
    assert (lane["ids"], lane["starts"], lane["ends"]) == ([198, 172, 4], [0, 0, 1], [1, 1, 2])
    assert lane["odd"] == {"0": "c3", "1": "a9"} and lane["lost"] == "" and lane["count"] == 3
    json.dumps(lane)


def test_a_long_text_is_drawn_in_part_and_counted_in_whole(ask):
    answer = settled(ask, text="x" * 1_000_000, keys=["byt5"])
    (lane,) = answer["lanes"]
    assert (
        len(lane["ids"]) == answer["shown"] == tokens.MOST_SHOWN and lane["count"] == answer["characters"] == 1_000_000
    )


def test_half_a_surrogate_pair_and_markup_are_text(ask):
    (lane,) = settled(ask, text="\ud83d" + PAYLOAD, keys=["byt5"])["lanes"]
    assert lane["count"] == 3 + len(PAYLOAD) and lane["lost"]
    json.dumps(lane).encode()


def test_an_own_file_an_unknown_one_and_nonsense(ask, made):
    key = ask(what="own", source=made["source"])["key"]
    answer = settled(ask, text="the cat", keys=[key, "nope"])
    assert answer["lanes"][0]["count"] < 7 and "There is no tokenizer" in answer["lanes"][1]["error"]
    for request in ({}, {"what": "x"}, {"what": "own", "source": "{}"}, {"what": "vocabulary", "key": key, "kind": "x"},
                    {"what": "train", "text": TEXT, "size": "many"}, {"what": "steps", "key": "nope"}):  # fmt: skip
        assert ask(**request)["error"].endswith((".", "?", "”"))


def test_kinds_of_text_steps_and_training_are_answered(ask):
    found = ask(what="kinds", keys=["byt5"])
    rows = {row["kind"]: row["tokens"][0] / row["characters"] for row in found["rows"]}
    assert len(rows) == 9 and rows["English"] == 1 and rows["Chinese"] > 2.5 and found["seconds_per_token"] is None
    trained = ask(what="train", text=TEXT, size=300)
    assert tokenizers.OWN.fullmatch(trained["key"]) and trained["size"] <= 300
    assert ask(what="steps", key=trained["key"], word="that")["steps"][0]["units"] == ("t", "h", "a", "t")
