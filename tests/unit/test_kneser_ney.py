"""The 5-gram yardstick: against numbers worked out by hand, against a second implementation, and as a distribution."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest

from experiments.pretraining.kneser_ney import KneserNey

A, B, C = 0, 1, 2


def test_a_bigram_model_by_hand():
    """a b a c a b: bigrams ab 2, ba 1, ac 1, ca 1. Too few counts of counts, so the discounts are ½, 1, 1½.

    Continuations: a follows b and c (2), b follows a (1), c follows a (1), 4 in all.
    p1(b) = (1 − ½)/4 + (1 + ½ + ½)/4 · ⅓ = 7/24.  p(b | a) = (2 − 1)/3 + (1 + ½)/3 · 7/24 = 23/48.
    """
    model = KneserNey(np.array([A, B, A, C, A, B]), 3, order=2)
    found = np.exp(model.log_probabilities(np.array([A, B, A, A])))
    p1 = {A: (2 - 1) / 4 + 0.5 / 3, B: 7 / 24, C: 7 / 24}
    assert found[0] == pytest.approx(p1[A])
    assert found[1] == pytest.approx(23 / 48)
    assert found[2] == pytest.approx((1 - 0.5) / 1 + 0.5 * p1[A])  # a after b
    assert found[3] == pytest.approx(1.5 / 3 * p1[A])  # a after a: never seen


def test_a_context_never_seen_is_left_to_the_shorter_one():
    model = KneserNey(np.array([A, B, A, B, A]), 4, order=3)
    alone = model.log_probabilities(np.array([A]))[0]
    assert model.log_probabilities(np.array([C, C, A]))[2] == pytest.approx(alone)


def plainly(text: list[int], vocabulary: int, order: int):
    """The same model by dictionaries, as the paper's formulas read."""
    raw = {n: Counter(tuple(text[i : i + n]) for i in range(len(text) - n + 1)) for n in range(1, order + 1)}
    counts = {order: raw[order]}
    for n in range(order - 1, 0, -1):
        counts[n] = Counter(gram[1:] for gram in raw[n + 1])
    discounts = {}
    for n, table in counts.items():
        of = Counter(table.values())
        if not all(of[k] for k in (1, 2, 3, 4)):
            discounts[n] = (0, 0.5, 1, 1.5)
            continue
        y = of[1] / (of[1] + 2 * of[2])
        discounts[n] = (0, 1 - 2 * y * of[2] / of[1], 2 - 3 * y * of[3] / of[2], 3 - 4 * y * of[4] / of[3])
    follow = {n: defaultdict(list) for n in counts}
    for n, table in counts.items():
        for gram, count in table.items():
            follow[n][gram[:-1]].append(count)

    def p(token: int, context: tuple[int, ...]) -> float:
        n = len(context) + 1
        lower = p(token, context[1:]) if context else 1 / vocabulary
        if context not in follow[n]:
            return lower
        seen = follow[n][context]
        count = counts[n][(*context, token)]
        left = sum(discounts[n][min(c, 3)] for c in seen)
        return (count - discounts[n][min(count, 3)] + left * lower) / sum(seen)

    return p


def test_it_agrees_with_the_formulas_written_plainly():
    draw = np.random.default_rng(0)
    text = draw.zipf(1.5, 3000).clip(max=40) - 1
    other = draw.zipf(1.5, 200).clip(max=40) - 1
    model, p = KneserNey(text, 40), plainly(text.tolist(), 40, 5)
    expected = [math.log(p(int(t), tuple(other[max(i - 4, 0) : i].tolist()))) for i, t in enumerate(other)]
    assert model.log_probabilities(other) == pytest.approx(expected, rel=1e-9)


def test_the_probabilities_of_all_next_tokens_add_to_one():
    text = np.random.default_rng(1).integers(0, 12, 500)
    model = KneserNey(text, 12)
    for context in ([3, 1, 4, 1], text[10:14].tolist(), [5]):
        last = [math.exp(model.log_probabilities(np.array([*context, token]))[-1]) for token in range(12)]
        assert sum(last) == pytest.approx(1)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="4096"):
        KneserNey(np.array([1, 2, 3]), 5000)
