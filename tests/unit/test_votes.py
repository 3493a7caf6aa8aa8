"""Votes: kept for whoever cast them, counted as pairs, and rows of their own from twenty on; what the fold says of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from experiments import access, events, votes
from experiments.catalog.own_data import keep
from experiments.catalog.own_data.table import Unreadable
from experiments.jobs import Jobs
from experiments.questions import SampleSpec
from experiments.specs import SpecError
from experiments.store import Store
from experiments.votes import Vote
from lab_app import ballot
from lab_app.lab import Lab

ANNA, BERT = "anna-" + "a" * 30, "bert-" + "b" * 30


class Says:
    """An executor that answers each question with what `say` makes of its seed."""

    def __init__(self, store: Store):
        self.store, self.say = store, "Answer {0}.".format

    def run(self, job) -> None:
        for key in job.keys:
            seed = SampleSpec.model_validate_json(self.store.entry(*key).spec).seed
            self.store.append(key, events.Wrote(column=0, text=self.say(seed), tokens=3, elapsed_s=0.1, ended=True))
            self.store.append(key, events.Finished(elapsed_s=0.1))

    def warm(self, model) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def says(home) -> Says:
    return Says(Store(home / "lab.sqlite"))


@pytest.fixture
def lab(home, says) -> Iterator[Lab]:
    jobs = Jobs(says.store, says)
    yield Lab(home, says.store, jobs)
    jobs.close()


def vote(i: int, better: str = "left", **changes) -> Vote:
    given = {"asked": f"s{i}", "model": "lab-nano", "prompt": f"{i}?", "left": f"Gladly {i}.", "right": f"No {i}."}
    return Vote(**{**given, "better": better, **changes})


def cast(lab: Lab, count: int, owner: str = ANNA, **changes) -> None:
    for i in range(count):
        votes.cast(lab.store, owner, vote(i, "right" if i % 3 == 0 else "left", **changes))


def test_votes_are_their_owners_and_a_second_one_takes_the_place_of_the_first(lab):
    votes.cast(lab.store, ANNA, vote(1, "left"))
    votes.cast(lab.store, ANNA, vote(1, "right"))
    votes.cast(lab.store, ANNA, vote(2, model="other"))
    assert [v.better for v in votes.of(lab.store, ANNA, "lab-nano")] == ["right"] and len(
        votes.of(lab.store, ANNA)
    ) == 2
    assert votes.of(Store(lab.store.path), ANNA) == votes.of(lab.store, ANNA)  # after a restart
    assert votes.of(lab.store, BERT) == [] and votes.of(lab.store, "") == []
    assert votes.forget(lab.store, BERT, "lab-nano") == 0 and votes.forget(lab.store, ANNA, "lab-nano") == 1
    assert [v.model for v in votes.of(lab.store, ANNA)] == ["other"]


@pytest.mark.parametrize(("owner", "changes", "words"), [("", {}, "no owner"), (ANNA, {"right": " "}, "is empty")])
def test_what_is_no_vote_is_one_sentence(lab, owner, changes, words):
    with pytest.raises(ValueError, match=words):
        votes.cast(lab.store, owner, vote(1, **changes))


def test_votes_that_decide_are_pairs_each_once():
    found = [vote(1), vote(2, "right"), vote(3, "neither"), vote(1, asked="again")]
    assert votes.pairs(found) == [("1?", "Gladly 1.", "No 1."), ("2?", "No 2.", "Gladly 2.")]
    assert votes.table(found).rows == tuple(votes.pairs(found))
    said = ballot.counted(found)
    assert said["lines"] == [
        "2 of 20 votes. 1 without a difference is not counted. 1 on the very same two answers counts once."
    ]
    assert said["done"] == pytest.approx(0.1)
    with pytest.raises(Unreadable):
        votes.table([vote(3, "neither")])


def test_twenty_votes_are_an_ordinary_run_on_rows_of_their_own(lab):
    cast(lab, 19)
    assert ballot.counter(votes.of(lab.store, ANNA))[1]["interactive"] is False
    with pytest.raises(Unreadable, match="19 votes decide between two answers; 20 are needed"):
        ballot.order(lab, "lab-nano", 12, ANNA)
    cast(lab, 20)
    assert ballot.counter(votes.of(lab.store, ANNA))[1]["interactive"] is True
    spec = ballot.order(lab, "lab-nano", 12, ANNA)
    assert (spec.objective, spec.method, spec.train.steps, spec.after) == ("dpo", "lora", 12, "")
    assert keep.load(spec.task).rows == tuple(votes.pairs(votes.of(lab.store, ANNA)))
    assert spec.run_id == ballot.order(lab, "lab-nano", 12, ANNA).run_id  # the same votes are the same run
    access.require_rows(spec, ANNA)
    with pytest.raises(SpecError, match="not yours"):
        access.require_rows(spec, BERT)
    with pytest.raises(SpecError, match="Steps must be"):
        ballot.order(lab, "lab-nano", "many", ANNA)


def last(lab: Lab, **data) -> list:
    asked = {"prompt": "Why?", "temperature": 1.0, **data}
    return list(ballot.answered(lab, "lab-nano", asked, ANNA, lambda: True))[-1]


def test_two_different_answers_are_shown_and_known_to_the_vote(lab):
    status, cards, pair, *buttons = last(lab)
    assert status["lines"] == [ballot.INTRO] and all(b["interactive"] for b in buttons)
    assert (
        [c["text"] for c in cards["cards"][0]["columns"]] == [pair["left"], pair["right"]] == ["Answer 0.", "Answer 1."]
    )
    votes.cast(lab.store, ANNA, Vote(**pair, better="left"))
    assert last(lab)[2]["asked"] != pair["asked"]  # other answers the next time
    assert [b["interactive"] for b in last(lab)[3:]] == [True] * 3


def test_the_same_answer_twice_is_asked_again_and_then_said(lab, says):
    says.say = lambda seed: f"Answer {max(seed, 3)}."
    assert last(lab)[2]["left"] == "Answer 4."
    says.say = lambda seed: "Yes."
    status, cards, pair, *buttons = last(lab, prompt="Again?")
    assert (
        "the same again and again" in status["lines"][0] and pair is None and not any(b["interactive"] for b in buttons)
    )


@pytest.mark.parametrize(
    ("data", "words"), [({"prompt": " "}, "Type a prompt first."), ({"temperature": 9}, "at most 2")]
)
def test_a_question_that_cannot_be_asked_is_one_sentence(lab, data, words):
    status, *_ = last(lab, **data)
    assert status["tone"] == "bad" and words in status["lines"][0]


def test_the_bases_that_are_here_can_answer(lab):
    assert ("Lab Nano, the base", "lab-nano") in ballot.choices(lab, ANNA)
    assert ballot.model_of(lab, "lab-nano", ANNA) == "lab-nano" and ballot.run_of(lab, "0123456789ab", ANNA) is None
    assert ballot.suggestion([]) != ballot.suggestion([vote(1)])
