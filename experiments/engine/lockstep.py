"""A loop that belongs to somebody else, as a generator: it runs in a thread of its own and only while its next event is asked for.

So a trainer that calls back can be stopped between two steps, raced with others, and looked at by the one who asks; at no moment
do both sides work. What it raises is raised where it is asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from queue import SimpleQueue
from typing import Any


class Closed(BaseException):
    """Nobody asks any more. Not an `Exception`: no library on the way may take it for a failure of its own."""


def events_of(work: Callable[[Callable[[Any], None]], None], inside: AbstractContextManager[Any]) -> Iterator[Any]:
    """What `work(tell)` tells, one by one. `inside` is entered each time it goes on, and left when it waits."""
    asked: SimpleQueue[bool] = SimpleQueue()
    told: SimpleQueue[tuple[str, Any]] = SimpleQueue()

    def tell(event: Any) -> None:
        told.put(("event", event))
        if not asked.get():
            raise Closed

    def body() -> None:
        try:
            if asked.get():
                work(tell)
            told.put(("end", None))
        except Closed:
            told.put(("end", None))
        except BaseException as error:  # given to the one who asks
            told.put(("error", error))

    thread = threading.Thread(target=body, name="trainer", daemon=True)
    thread.start()
    try:
        while True:
            with inside:
                asked.put(True)
                kind, value = told.get()
            if kind == "error":
                raise value
            if kind == "end":
                return
            yield value
    finally:
        asked.put(False)
        thread.join()
