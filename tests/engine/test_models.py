"""Loading a base: what is kept of it, and what is not."""

import gc
import weakref

from experiments.engine import memory, models


class Loop:
    """Two references in a circle: only the garbage collector ends it."""

    def __init__(self) -> None:
        self.itself = self


def test_what_was_there_when_a_base_was_loaded_is_looked_through_again_only_when_the_next_one_is(
    tiny, untidy, monkeypatch
):
    monkeypatch.setattr(memory, "trim", untidy)
    gone: list[bool] = []
    weakref.finalize(loop := Loop(), gone.append, True)
    models.load(tiny, "tiny")
    del loop
    gc.collect()
    assert gc.get_freeze_count() > 10_000 and not gone
    models.load(tiny, "tiny")
    assert gone
