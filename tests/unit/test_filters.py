"""What a typed filter chooses, and what it says of one that means nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments import filters

ROWS, CASES = json.loads((Path(__file__).parents[1] / "filter_cases.json").read_text("utf8")).values()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["filter"] or "empty")
def test_what_a_filter_chooses(case):
    """The same cases are put to the page's own filter in `tests/browser/test_runs.py`."""
    if "says" in case:
        with pytest.raises(filters.FilterError) as refusal:
            filters.chosen(ROWS, case["filter"])
        assert str(refusal.value) == case["says"]
    else:
        assert [row["run_id"] for row in filters.chosen(ROWS, case["filter"])] == case["chooses"]


@given(st.text(max_size=80))
def test_any_text_chooses_or_says_why_not(typed):
    try:
        assert all(row in ROWS for row in filters.chosen(ROWS, typed))
    except filters.FilterError as refusal:
        assert str(refusal).endswith(".")
