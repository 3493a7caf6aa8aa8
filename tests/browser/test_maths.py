"""The numbers of the loss chart, computed by the page's own script and held to a reference."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pandas
import pytest

MATHS = (Path(__file__).parents[2] / "assets" / "loss_maths.js").read_text("utf8")


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page()
    yield page
    page.close()


def ask(page, expression: str, **given):
    """What an expression gives after the script; what is no number comes back as None."""
    names, values = ", ".join(given), json.dumps(list(given.values()))
    told = page.evaluate(f"() => JSON.stringify((function ({names}) {{ {MATHS}; return {expression}; }})(...{values}))")
    return json.loads(told)


@pytest.mark.parametrize("weight", [0.6, 0.9, 0.97])
def test_a_smoothed_curve_is_pandas_mean_with_exponential_weights(page, weight):
    draw = random.Random(0)
    losses = [None if i in (7, 8, 30) else 4 * math.exp(-i / 20) + draw.random() for i in range(60)]
    mean = pandas.Series(losses, dtype=float).ewm(alpha=1 - weight, ignore_na=True).mean()
    expected = [None if loss is None else pytest.approx(m) for loss, m in zip(losses, mean, strict=True)]
    assert ask(page, "smoothed(losses.map((v) => v ?? NaN), weight)", losses=losses, weight=weight) == expected
    assert expected[0] == losses[0]  # corrected for its start


def test_no_smoothing_leaves_the_losses_as_they_are(page):
    assert ask(page, "smoothed(losses, 0)", losses=[3.0, 1.0, 2.0]) == [3.0, 1.0, 2.0]


def test_the_cursor_finds_the_nearest_point(page):
    xs = [1, 2, 4, 8, 16, 32]
    for x in (-5, 1, 2.9, 3.1, 11, 13, 31, 99):
        assert ask(page, "nearest(xs, x)", xs=xs, x=x) == min(range(6), key=lambda i: abs(xs[i] - x)), x


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0.013, 0.017), (3.2, 4700), (0, 40)])
def test_ticks_are_round_even_and_inside(page, low, high):
    found = ask(page, "ticks(low, high, 6)", low=low, high=high)
    steps = [b - a for a, b in zip(found, found[1:], strict=False)]
    assert 2 <= len(found) <= 7 and low <= found[0] and found[-1] <= high + 1e-9
    assert steps == pytest.approx([steps[0]] * len(steps), rel=1e-6)
    assert f"{steps[0]:.4e}".split("e")[0] in ("1.0000", "2.0000", "5.0000")
