"""Quantiles of Student's t and of the studentised range, held to scipy's."""

import subprocess
import sys

import pytest
from scipy.stats import studentized_range, t

from experiments import chance


@pytest.mark.parametrize(("means", "freedom"), [(2, 1), (3, 2), (5, 8), (9, 16), (30, 2), (100, 198)])
@pytest.mark.parametrize("level", [0.95, 0.99])
def test_the_studentised_range_is_scipys(level, means, freedom):
    assert chance.studentised_range(level, means, freedom) == pytest.approx(
        studentized_range.ppf(level, means, freedom), rel=1e-5
    )


@pytest.mark.parametrize("freedom", [1, 1.37, 2, 4.5, 30, 1000, 10**6])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_students_t_is_scipys(level, freedom):
    assert chance.student(level, freedom) == pytest.approx(t.ppf((1 + level) / 2, freedom), rel=1e-6)


@pytest.mark.parametrize(("level", "means", "freedom"), [(0.95, 1, 8), (0.95, 3, 0), (1.0, 3, 8)])
def test_no_range_without_two_means_and_some_freedom(level, means, freedom):
    with pytest.raises(ValueError, match="two means"):
        chance.studentised_range(level, means, freedom)


def test_the_page_does_without_scipy():
    """A verdict, an interval and a share's interval, as the tabs compute them, in a process of their own."""
    code = (
        "import sys; import lab_app.layout, lab_app.sweep_view, lab_app.compare_view; from experiments.path import wilson;"
        "from experiments.comparison import intervals; from experiments.sweeps import findings;"
        "cells = [({'seed': r}, s, r + s / 10 + r * s) for r in (1, 2, 3) for s in (0, 1, 2)];"
        "assert findings.compare(cells).noise and intervals.over_seeds([1.0, 2.0]).half_width and wilson(1, 3);"
        "print([name for name in sys.modules if name.startswith('scipy')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
