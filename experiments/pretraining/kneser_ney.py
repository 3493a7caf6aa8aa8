"""A 5-gram model with modified Kneser–Ney smoothing, the yardstick that a small neural model must beat on the same tokens.

Chen and Goodman, An Empirical Study of Smoothing Techniques for Language Modeling, 1999, section 3 (interpolated, three
discounts an order, estimated from counts of counts). Exact and unpruned. An n-gram is one whole number, 12 bits a token,
so counting is sorting; no package with wheels does this for token ids, and NLTK's walks Python dicts (hours here).

Shapes: N tokens of a text, G distinct n-grams of an order, H distinct contexts of an order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BITS = 12
MOST_TOKENS = 1 << BITS
Keys = NDArray[np.int64]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class _Order:
    """The n-grams of one order: `grams_G` sorted, each with its discounted count; contexts sorted, each with its total
    and the probability that it leaves to the lower order."""

    grams_G: Keys
    kept_G: Numbers
    contexts_H: Keys
    totals_H: Numbers
    left_H: Numbers


class KneserNey:
    """The model of a text. `order`: tokens of an n-gram, at most 5. `vocabulary`: at most 4,096 tokens."""

    def __init__(self, tokens_N: NDArray[np.integer], vocabulary: int, order: int = 5):
        if vocabulary > MOST_TOKENS or not 1 <= order <= 5:
            raise ValueError(f"At most {MOST_TOKENS} tokens and 5-grams fit into a whole number of 64 bits.")
        self.vocabulary, self.order = vocabulary, order
        grams, counts = np.unique(_keys(tokens_N, order), return_counts=True)
        found = [_order(grams, counts)]
        for n in range(order - 1, 0, -1):  # how many different tokens came before each shorter n-gram
            types = np.unique(_keys(tokens_N, n + 1)) if n + 1 < order else grams
            found.append(_order(*np.unique(types & _mask(n), return_counts=True)))
        self.orders = found[::-1]  # the shortest first

    def log_probabilities(self, tokens_N: NDArray[np.integer]) -> Numbers:
        """ln p of each token given the `order` − 1 before it (fewer at the start), N numbers in nats."""
        p_N = np.full(len(tokens_N), 1 / self.vocabulary)
        for n, known in enumerate(self.orders, 1):
            if len(tokens_N) < n:
                break
            keys = _keys(tokens_N, n)
            p_N[n - 1 :] = _interpolated(known, keys, p_N[n - 1 :])
        return np.log(p_N)


def _keys(tokens_N: NDArray[np.integer], n: int) -> Keys:
    """Every run of n tokens as one whole number, the first token in the highest bits; N − n + 1 of them."""
    length = len(tokens_N) - n + 1
    keys = np.zeros(max(length, 0), dtype=np.int64)
    for i in range(n):
        keys = (keys << BITS) | tokens_N[i : i + length].astype(np.int64)
    return keys


def _mask(n: int) -> int:
    return (1 << (BITS * n)) - 1


def _order(grams_G: Keys, counts_G: NDArray[np.integer]) -> _Order:
    discounts = _discounts(counts_G)
    taken_G = discounts[np.minimum(counts_G, 3)]
    contexts_H, first_H = np.unique(grams_G >> BITS, return_index=True)
    totals_H = np.add.reduceat(counts_G.astype(np.float64), first_H)
    left_H = np.add.reduceat(taken_G, first_H) / totals_H
    return _Order(grams_G, counts_G - taken_G, contexts_H, totals_H, left_H)


def _discounts(counts_G: NDArray[np.integer]) -> Numbers:
    """What is taken from counts of 0, 1, 2, and 3 and more (Chen and Goodman 1999, equation 26).

    A text too small to have every count of counts gets one half, one and one and a half.
    """
    n1, n2, n3, n4 = (int((counts_G == k).sum()) for k in (1, 2, 3, 4))
    if not (n1 and n2 and n3 and n4):
        return np.array([0.0, 0.5, 1.0, 1.5])
    y = n1 / (n1 + 2 * n2)
    found = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
    return np.array([0.0, *(min(max(d, 0.0), k) for k, d in enumerate(found, 1))])


def _interpolated(known: _Order, keys: Keys, lower: Numbers) -> Numbers:
    """p of each n-gram's last token given the others, `lower` being p given one token less."""
    at_H = np.searchsorted(known.contexts_H, keys >> BITS).clip(max=len(known.contexts_H) - 1)
    has_context = known.contexts_H[at_H] == keys >> BITS
    at_G = np.searchsorted(known.grams_G, keys).clip(max=len(known.grams_G) - 1)
    kept = np.where(known.grams_G[at_G] == keys, known.kept_G[at_G], 0.0)
    return np.where(has_context, kept / known.totals_H[at_H] + known.left_H[at_H] * lower, lower)
