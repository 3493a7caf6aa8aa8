"""Fetching in the background: begun once, told how far it is, a failure kept in its own words and tried again later."""

import threading
import time

import pytest

from experiments.catalog import background, resources
from experiments.catalog.background import Background
from experiments.catalog.resources import Resource, ResourceError

THING = Resource("thing", "The thing", 90.0, "MIT")


def wait_for(check):
    for _ in range(500):
        if check():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come about in five seconds")


def test_it_is_fetched_once_and_says_how_far_it_is(monkeypatch):
    go_on, calls = threading.Event(), []

    def get(resource, progress=None, source=None):
        calls.append(resource.name)
        progress("downloading", 41_000_000, 93_000_000)
        go_on.wait(5)

    monkeypatch.setattr(resources, "get", get)
    room = Background()
    fetching = room.bring(THING)
    assert room.bring(THING) is fetching
    wait_for(lambda: fetching.done)
    assert fetching.sentence == "It is being fetched in the background: 41 of 93 MB."
    go_on.set()
    wait_for(lambda: fetching.ended)
    assert room.bring(THING) is fetching and calls == ["thing"]
    assert "It is here" in fetching.sentence


def test_a_failure_is_told_and_tried_again_only_later(monkeypatch):
    def get(resource, progress=None, source=None):
        raise ResourceError("No network.")

    monkeypatch.setattr(resources, "get", get)
    room = Background()
    failed = room.bring(THING)
    wait_for(lambda: failed.ended)
    assert failed.sentence == "It could not be fetched: No network." and room.bring(THING) is failed
    monkeypatch.setattr(background, "PATIENCE_S", -1.0)
    assert room.bring(THING) is not failed


@pytest.mark.parametrize(("chosen", "brought"), [("thing", True), ("another", False)])
def test_only_a_model_of_the_list_is_fetched_when_it_is_chosen(monkeypatch, chosen, brought):
    from types import SimpleNamespace

    from experiments.catalog.models import ModelEntry
    from lab_app import setup

    asked = []
    lab = SimpleNamespace(background=SimpleNamespace(bring=asked.append))
    monkeypatch.setattr(setup.models, "is_ready", lambda entry: False)
    setup._brought(lab, ModelEntry("thing", "The thing", "", THING), chosen)
    assert bool(asked) == brought
