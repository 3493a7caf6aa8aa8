"""A tokenizer fetched by its hub id, from a stand-in for the hub: there, not there, shut, damaged, no tokenizer, too large."""

from __future__ import annotations

import os
import time

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from experiments.catalog import tokenizers
from experiments.catalog.cache import ResourceError
from lab_app import tokens
from tests.standin_hub import Repo, StandInHub


def words(*entries: str) -> bytes:
    made = Tokenizer(models.WordLevel({entry: i for i, entry in enumerate(("[UNK]", *entries))}, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return made.to_str().encode()


FILE = words("a", "harbour")


@pytest.fixture
def hub(home, tmp_path, monkeypatch):
    """A hub with one tokenizer on it, and nobody's token."""
    for name in [n for n in os.environ if n.startswith(("HF_", "LAB_RESOURCES"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    with StandInHub({"owner/words": Repo({"tokenizer.json": FILE, "model.safetensors": b"weights"})}) as standin:
        monkeypatch.setenv("HF_ENDPOINT", standin.url)
        yield standin


def test_it_is_fetched_once_and_nothing_but_its_file(hub):
    told: list[str] = []
    loaded = tokenizers.Loaded()
    found = loaded.get("owner/words", lambda stage, done, total: told.append(stage))
    assert list(found.encode("a harbour a quay").ids) == [1, 2, 1, 0] and found.family == "whole words"
    assert [line for line in hub.asked if line.endswith("tokenizer.json")] and not any(
        "safetensors" in a for a in hub.asked
    )
    assert "asking the model hub" in told and "reading" in told
    asked = len(hub.asked)
    assert loaded.get("owner/words") is found and tokenizers.is_here(tokenizers.find("owner/words"))
    assert (
        tokenizers.Loaded().get("owner/words").size == 3 and len(hub.asked) == asked
    )  # from the cache, without the hub


BROKEN = {
    "not there": (None, "the model hub has no model owner/x, or it is private"),
    "private": (Repo({"tokenizer.json": FILE}, mood="private"), "it is private and HF_TOKEN does not open it"),
    "gated": (Repo({"tokenizer.json": FILE}, mood="gated"), "accept its terms on its hub page and set HF_TOKEN"),
    "without one": (Repo({"config.json": b"{}"}), "tokenizer.json"),
    "damaged": (Repo({"tokenizer.json": FILE}, mood="damaged", large=("tokenizer.json",)), "is damaged"),
    "cut short": (Repo({"tokenizer.json": FILE}, mood="truncated", large=("tokenizer.json",)), "broke off while sending"),
    "no JSON": (Repo({"tokenizer.json": b"<!doctype html>"}), "This file is no JSON; a tokenizer.json is wanted."),
    "no tokenizer": (Repo({"tokenizer.json": b'{"a": 1}'}), "This JSON describes no tokenizer"),
    "an unknown kind": (Repo({"tokenizer.json": b'{"model": {"type": "Magic"}}'}), "This tokenizer.json cannot be used"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_one_sentence_and_can_be_tried_again(hub, case):
    repo, sentence = BROKEN[case]
    if repo:
        hub.repos["owner/x"] = repo
    loaded = tokenizers.Loaded()
    with pytest.raises((ValueError, ResourceError)) as caught:
        loaded.get("owner/x")
    assert sentence in str(caught.value) and "\n" not in str(caught.value) and str(hub.url) not in str(caught.value)
    hub.repos["owner/x"] = Repo({"tokenizer.json": FILE}, commit="beef" + "0" * 36)
    assert loaded.get("owner/x").size == 3


def test_a_file_larger_than_a_tokenizer_is_refused_before_it_is_fetched(hub, monkeypatch):
    monkeypatch.setattr(tokenizers, "MOST_BYTES", 100)
    with pytest.raises((ValueError, ResourceError)) as caught:
        tokenizers.Loaded().get("owner/words")
    assert "at most" in str(caught.value) and not any(a.startswith("GET owner") for a in hub.asked)


def test_a_token_opens_a_gated_one(hub, monkeypatch):
    hub.repos["owner/words"].mood = "gated"
    monkeypatch.setenv("HF_TOKEN", "let-me-in")
    assert tokenizers.Loaded().get("owner/words").size == 3


def test_the_page_is_told_what_the_hub_said(hub):
    hub.repos["owner/x"] = Repo({"tokenizer.json": FILE}, mood="gated")
    desk = tokens.Desk()
    assert "waiting" in tokens.lane(desk, "owner/x", "a")  # it is being opened, elsewhere
    until = time.monotonic() + 30
    while "error" not in (answer := tokens.lane(desk, "owner/x", "a")):
        assert time.monotonic() < until
        time.sleep(0.02)
    assert "accept its terms" in answer["error"]
