"""A loop that belongs to somebody else, as a generator: it runs only while its next event is asked for, in the thread of who asks.

So a trainer that calls back can be stopped between two steps, raced with others, and looked at by the one who asks. What it raises
is raised where it is asked. A greenlet and not a thread: in a thread of its own a step took twice as long on two cores, for the
matrix products of each thread bring a pool of threads of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet


class Closed(GreenletExit):
    """Nobody asks any more. Not an `Exception`: no library on the way may take it for a failure of its own."""


def events_of(work: Callable[[Callable[[Any], None]], None], inside: AbstractContextManager[Any]) -> Iterator[Any]:
    """What `work(tell)` tells, one by one. `inside` is entered each time it goes on, and left when it waits."""
    asker = getcurrent()

    def tell(event: Any) -> None:
        asker.switch(event)

    loop = greenlet(lambda: work(tell))
    try:
        while True:
            asker = loop.parent = getcurrent()
            with inside:
                event = loop.switch()
            if loop.dead:
                return
            yield event
    finally:
        if loop:  # begun and not at its end
            asker = loop.parent = getcurrent()
            with inside:
                loop.throw(Closed)
