"""What a sweep found: a verdict that names no winner inside the noise, the Pareto front, the knob that matters, the rule for alpha."""

import random

import pytest
from scipy.stats import sem, t, tukey_hsd

from experiments import sweeps
from experiments.sweeps import findings, guidance


def results(means: dict[int, float], sd: float, seeds: int = 3, place: str = "settings.rank"):
    draw = random.Random(1)
    return [({place: v}, s, mean + draw.gauss(0, sd)) for v, mean in means.items() for s in range(seeds)]


def axis(*values, place="settings.rank"):
    return [sweeps.Axis(place=place, values=values)]


def test_no_winner_is_named_inside_the_noise():
    means = {1: 1.6, 4: 1.02, 8: 1.0, 16: 1.01, 32: 1.0}
    text = findings.verdict(findings.compare(results(means, 0.03)), axis(*means))
    assert text.startswith("rank 4 to 32 cannot be told apart here (±0.")
    assert text.endswith("over 3 seeds); rank 1 is worse.")


def test_a_clear_winner_is_named_and_one_seed_says_that_nothing_is_known():
    means = {1: 1.6, 4: 1.3, 8: 1.0}
    assert findings.verdict(findings.compare(results(means, 0.01)), axis(*means)).startswith("rank 8 is best: 0.99")
    once = findings.verdict(findings.compare(results(means, 0.01, seeds=1)), axis(*means))
    assert "one seed a setting" in once and "is best" not in once


def test_a_difference_that_is_not_there_is_seen_in_one_sweep_of_twenty():
    draw, seen = random.Random(7), 0
    for _ in range(200):
        shift = [draw.gauss(0, 1) for _ in range(3)]
        cells = [({"settings.rank": r}, s, shift[s] + draw.gauss(0, 1)) for r in range(6) for s in range(3)]
        seen += any(row.told_apart for row in findings.compare(cells).rows)
    assert 0.01 < seen / 200 < 0.09
    same = findings.compare([({"settings.rank": r}, s, 1.0 + 0.1 * (r == s)) for r in (1, 4, 8) for s in range(3)])
    assert findings.verdict(same, axis(1, 4, 8)).startswith("None of the 3 settings can be told apart here")


def test_what_is_told_apart_is_what_scipys_tukey_tells_apart():
    """Without a common effect of the seeds: each group has seeds of its own."""
    draw = random.Random(3)
    groups = [[mean + draw.gauss(0, 0.1) for _ in range(5)] for mean in (1.0, 1.1, 1.25, 1.6)]
    cells = [({"settings.rank": i}, 10 * i + s, n) for i, g in enumerate(groups) for s, n in enumerate(g)]
    found = findings.compare(cells)
    best = found.best.values["settings.rank"]
    p = tukey_hsd(*groups).pvalue
    assert {r.values["settings.rank"]: r.told_apart for r in found.rows[1:]} == {
        i: bool(p[best][i] < 0.05) for i in range(4) if i != best
    }
    for row in found.rows:
        group = groups[row.values["settings.rank"]]
        assert row.half_width == pytest.approx(t.ppf(0.975, len(group) - 1) * sem(group))


def test_what_a_seed_does_to_all_settings_alike_is_no_noise():
    draw = random.Random(2)
    shift = {s: draw.gauss(0, 0.5) for s in range(3)}
    cells = [
        ({"settings.rank": r}, s, m + shift[s] + draw.gauss(0, 0.01))
        for r, m in {1: 1.0, 2: 1.2}.items()
        for s in range(3)
    ]
    assert findings.compare(cells).rows[1].told_apart


def test_a_score_is_better_when_it_is_higher():
    found = findings.compare(results({1: 50.0, 8: 90.0}, 1.0), lower_is_better=False)
    assert found.best.values == {"settings.rank": 8} and found.rows[1].told_apart


def test_the_pareto_front():
    assert findings.pareto([(1, 5), (2, 3), (3, 4), (4, 1), (4, 2)]) == [0, 1, 3]
    assert findings.pareto([]) == []


def test_the_knob_that_matters_is_said_to():
    cells = [
        ({"settings.rank": r, "settings.alpha": a}, s, abs(a - 8) + 0.001 * r + 0.01 * s)
        for r in (1, 2, 4) for a in (4, 8, 16) for s in (0, 1)
    ]  # fmt: skip
    axes = [*axis(1, 2, 4), *axis(4, 8, 16, place="settings.alpha")]
    shares = guidance.importance(cells, axes)
    assert shares["settings.alpha"] > 2 * shares["settings.rank"] and sum(shares.values()) == pytest.approx(1, abs=1e-3)
    assert guidance.importance(cells[:2], axes) == {}


@pytest.mark.parametrize(
    ("key", "loss"),
    [
        ("ratio", lambda r, a: (a / r - 2) ** 2 / (1 + a / r)),
        ("rslora", lambda r, a: abs(a / r**0.5 - 4)),
        ("alpha", lambda r, a: abs(a - 16)),
    ],
)
def test_the_rule_that_made_the_data_is_the_one_it_supports(key, loss):
    draw = random.Random(0)
    cells = [
        ({"settings.rank": r, "settings.alpha": a}, s, loss(r, a) + draw.gauss(0, 0.02))
        for r in (1, 2, 4, 8, 16, 32) for a in (2, 4, 8, 16, 32, 64) for s in (0, 1)
    ]  # fmt: skip
    found = guidance.guidance(cells)
    assert found.rules[0].key == key and found.rules[0].title in found.sentence
    assert "alpha = 2 · rank" in found.twice


def test_too_few_ranks_support_no_rule():
    assert guidance.guidance(results({1: 1.0, 2: 0.9}, 0.1)).rules == ()
