"""Surprise equals the model's own loss, and what is expected next its own softmax; through the queue, base and tuned."""

from __future__ import annotations

import math

import pytest
import torch

from experiments import events
from experiments.catalog import models
from experiments.engine import data, surprise
from experiments.engine.loss import token_losses
from experiments.jobs import Jobs
from experiments.questions import SampleSpec, SurpriseSpec, parse
from experiments.specs import RunSpec, SpecError, build
from experiments.store import Store
from experiments.workers import Inline

TEXT = "The capital of Austria is Vienna, and \U0001f600"


def spec(**changes) -> SurpriseSpec:
    return build(SurpriseSpec, {"model": "tiny", "weights": "local:tiny", "text": TEXT, **changes})


def test_bits_are_the_losses_and_the_next_token_is_the_softmax(base):
    found = surprise.read(0, base.model, base.tokenizer, spec())
    assert list(found.ids) == surprise.text_ids(base.tokenizer, spec()) and found.shape == (1, len(found.ids))
    assert found.dtype == "int64" and found.bits[0] is None and found.cut == 0
    batch = data.collate([data.Example(found.ids, 1)], 0, base.device)
    with torch.no_grad():
        nats = token_losses(base.model, batch).tolist()
        last = torch.softmax(base.model(input_ids=batch.ids_BT).logits[0, -1], -1)
    assert found.bits[1:] == pytest.approx([n / math.log(2) for n in nats], abs=1e-3)
    assert len(found.expected) == 20 and found.expected[0][0] == int(last.argmax())
    assert [p for _, _, p in found.expected] == pytest.approx(sorted(last.tolist(), reverse=True)[:20], abs=1e-5)
    assert "".join(found.tokens).startswith("The capital")


def test_as_a_question_the_text_is_in_the_template_and_a_long_one_is_cut(base):
    asked = surprise.read(0, base.model, base.tokenizer, spec(chat=True, text="Hi"))
    assert list(asked.ids) == data.prompt_ids(base.tokenizer, "Hi")
    long = surprise.read(0, base.model, base.tokenizer, spec(text="word, " * 600))
    assert len(long.ids) == surprise.MOST_TOKENS and long.cut > 0


def test_through_the_queue_base_and_tuned_read_the_same_tokens(tiny, home, monkeypatch):
    """A soft prompt stands before the text: what it reads has the same tokens and other surprises."""
    monkeypatch.setenv("LAB_MODELS", f"tiny={tiny}")
    weights = models.weights_of(models.find("tiny"))
    store = Store(home / "lab.sqlite")
    jobs = Jobs(store, Inline(store, home))
    train = {"steps": 2, "batch_size": 2, "learning_rate": 0.1}
    tuned = build(RunSpec, {"model": "tiny", "weights": weights, "task": "few", "method": "prompt", "train": train})
    keys = [ticket.key for ticket in jobs.submit([tuned], "ann")]
    assert jobs.wait(keys, 120) and store.entry(*keys[0]).last == "finished"
    asked = build(SurpriseSpec, {"model": "tiny", "weights": weights, "text": "Ahoy there", "runs": (tuned.run_id,)})
    key = jobs.ask(asked, "ann").key
    assert parse(store.entry(*key).spec) == asked and key.run_id.startswith("p")
    while not store.entry(*key).ended:
        pass
    found = [row.event for row in store.events(key) if isinstance(row.event, events.Read)]
    assert [one.column for one in found] == [0, 1] and found[0].ids == found[1].ids
    assert found[0].bits != found[1].bits and found[0].expected != found[1].expected
    assert jobs.ask(asked, "bob").state == "stored"
    jobs.close()


def test_what_cannot_be_read_is_a_sentence():
    with pytest.raises(SpecError, match="Text must not be empty"):
        spec(text="")
    assert isinstance(parse(build(SampleSpec, {"model": "tiny", "prompt": "x"}).model_dump_json()), SampleSpec)
