"""How much text for how large a model: Hoffmann et al. 2022 (“Chinchilla”), and the reverse.

Two readings. The plain one is their first approach (table 3): parameters and tokens grow alike, some 20 tokens a
parameter. The fitted one takes the loss L(N, D) = E + A / N^α + B / D^β of their third approach with the constants of
Besiroglu et al. 2024 (arXiv 2404.10102, table 1), who found the published ones (E 1.69, A 406.4, B 410.7, α 0.34, β 0.28) not to
fit the paper's own data.
"""

from __future__ import annotations

TOKENS_A_PARAMETER = 20.2  # Hoffmann et al. 2022, table 3: 10⁹ parameters, 20.2 · 10⁹ tokens
E, A, B, ALPHA, BETA = 1.8172, 482.01, 2085.43, 0.3478, 0.3658


def loss(parameters: float, tokens: float) -> float:
    """Expected loss of pretraining, nats a token of their data."""
    return E + A / parameters**ALPHA + B / tokens**BETA


def fitted_tokens(parameters: float) -> float:
    """Tokens at which more text and more parameters bring the same for the same compute: α A / N^α = β B / D^β."""
    return (BETA * B / (ALPHA * A) * parameters**ALPHA) ** (1 / BETA)


def fitted_parameters(tokens: float) -> float:
    """The reverse of `fitted_tokens`."""
    return (ALPHA * A / (BETA * B) * tokens**BETA) ** (1 / ALPHA)


def plain_tokens(parameters: float) -> float:
    return TOKENS_A_PARAMETER * parameters


def plain_parameters(tokens: float) -> float:
    return tokens / TOKENS_A_PARAMETER


def epochs(steps: int, batch_size: int, row_tokens: float, dataset_tokens: float) -> float:
    """How often a dataset is read."""
    return steps * batch_size * row_tokens / dataset_tokens
