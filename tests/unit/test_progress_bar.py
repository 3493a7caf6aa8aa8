"""The bar of a run on a terminal: full where the run came to its end, and where it was stopped as far as it came."""

import pytest
from rich.progress import Progress

from experiments import analysis, events, specs, terminal
from experiments.store import Row

STEPPED = [
    events.Stepped(step=s, loss=1.0, gradient_norm=1.0, learning_rate=1e-3, tokens=1, train_s=0.1) for s in (1, 2)
]
ENDS = [(events.Finished(elapsed_s=1.0), 100), (events.Cancelled(step=2), 20), (events.Failed(cause="memory"), 20)]


@pytest.mark.parametrize(("end", "percent"), ENDS, ids=["finished", "stopped", "failed"])
def test_the_bar_is_as_full_as_the_run_came_far(end, percent):
    spec = specs.build(specs.RunSpec, {"model": "lab-nano", "task": "pirate", "method": "lora", "train": {"steps": 10}})
    record = analysis.fold(analysis.Record(spec, spec.run_id), (Row(i, 0.0, e) for i, e in enumerate([*STEPPED, end])))
    bar = Progress(disable=True)
    row = bar.add_task("", total=None)
    terminal.draw(bar, row, record)
    assert bar.tasks[0].percentage == percent
