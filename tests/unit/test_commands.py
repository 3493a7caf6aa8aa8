"""What holds of every command alike."""

from inspect import signature

import pytest

from experiments.__main__ import app
from experiments.catalog.models import MODELS
from experiments.catalog.tasks import TASKS

FIRST = {"model": MODELS[0].key, "task": TASKS[0].key}


@pytest.mark.parametrize("command", app.registered_commands, ids=lambda c: c.name or c.callback.__name__)
def test_what_is_left_out_is_the_first_of_the_catalogue(command):
    """It ships with the lab: no command fetches a model that nobody named."""
    options = signature(command.callback).parameters
    chosen = {name: options[name].default for name in FIRST if name in options}
    assert chosen == {name: FIRST[name] for name in chosen}
