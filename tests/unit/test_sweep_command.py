"""What is typed behind `sweep --axis`."""

import pytest

from experiments.commands.sweep import parse_axis
from experiments.specs import SpecError


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("method.rank=1,2,4", {"place": "method.rank", "values": [1, 2, 4]}),
        ("lr=1e-4..1e-2", {"place": "lr", "low": 1e-4, "high": 1e-2}),
        ("targets=q_proj,v_proj;all-linear", {"place": "targets", "values": ["q_proj,v_proj", "all-linear"]}),
        ("rslora=true,false", {"place": "rslora", "values": [True, False]}),
        ("layers=all,last 2", {"place": "layers", "values": ["all", "last 2"]}),
    ],
)
def test_an_axis_is_typed_as_name_and_values(text, axis):
    assert parse_axis(text) == axis


@pytest.mark.parametrize("text", ["rank", "rank=", ""])
def test_one_without_values_is_refused(text):
    with pytest.raises(SpecError, match="not of the form"):
        parse_axis(text)
