"""What the tests tell a mirror."""

from __future__ import annotations

from pathlib import Path

from experiments import mirrors
from experiments.mirrors.base import Mirror
from experiments.store import Key
from tests.unit.runs import spec, told


def feed(mirror: Mirror, folder: Path, seeds: tuple[int, ...] = (1, 2)) -> None:
    """Two runs, told in turn as in a race."""
    feeds = [mirrors.Feed([mirror], spec(seed=i, steps=3), Key(spec(seed=i).run_id, 1), folder) for i in seeds]
    for event in told(3):
        for one in feeds:
            one.tell(event)
    assert [one.working for one in feeds] == [[mirror.key]] * len(feeds)
