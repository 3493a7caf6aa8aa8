"""Rows that begin alike, read as one: which rows, by which models. That every method learns the same from them is in test_methods.py."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    GPT2Config,
    MambaConfig,
    MistralConfig,
    Qwen2Config,
)

from experiments.engine import data, joining
from tests.engine.trials import rows


@pytest.fixture
def batch(base) -> data.Batch:
    """Four rows behind SmolLM2's system turn."""
    return data.collate(rows(base, 0, 4), base.tokenizer.pad_token_id, base.device)


def test_a_joined_batch_says_the_same_of_its_rows(base, batch):
    one = joining.joined(base.model, batch)
    assert one.shared == joining.common(batch.examples) and one.ids_BT.shape[0] == 1
    assert one.tokens == batch.tokens == int(batch.mask_BT.sum())
    assert torch.equal(one.ids_BT[one.learn_BT], batch.ids_BT[batch.learn_BT])
    assert one.ids_BT.shape[1] == batch.tokens - 3 * one.shared


def test_rows_that_share_nothing_lose_their_padding_only(base):
    apart = [data.Example(tuple(range(first, first + length)), 4) for first, length in ((5, 40), (90, 8), (200, 9))]
    one = joining.joined(base.model, data.collate(apart, 0, base.device))
    assert one.shared == 0 and one.ids_BT.shape == (1, 57)


def test_it_is_left_where_it_is_no_shorter(base):
    alike = [data.Example(tuple(range(first, first + 30)), 4) for first in (5, 90, 200)]
    batch = data.collate(alike, 0, base.device)
    assert joining.joined(base.model, batch) is batch
    alone = data.collate(rows(base, 0, 1), 0, base.device)
    assert joining.joined(base.model, alone) is alone


def test_nothing_learnt_is_predicted_from_what_is_shared():
    """A row that is the beginning of another, and one learnt from its first token on."""
    short, long = data.Example((1, 2, 3, 4), 2), data.Example((1, 2, 3, 4, 5), 3)
    assert joining.common([short, long]) == 1
    assert joining.common([data.Example((1, 2, 3), 1), long]) == 0


SIZE: dict[str, Any] = {
    "vocab_size": 200, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
}  # fmt: skip
GROUPED = {**SIZE, "num_key_value_heads": 2}
CAN = [
    MistralConfig(**GROUPED, sliding_window=None),
    Qwen2Config(**GROUPED),
    GPT2Config(vocab_size=200, n_embd=32, n_layer=2, n_head=4),
    Gemma2Config(**GROUPED, head_dim=8),
]
CANNOT = [BloomConfig(vocab_size=200, hidden_size=32, n_layer=2, n_head=4), MambaConfig(**SIZE)]


def made(config: Any) -> Any:
    torch.manual_seed(0)
    config.initializer_range = 0.3  # as far from even as a trained one
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("config", CAN, ids=lambda config: config.model_type)
def test_a_model_with_positions_reads_them_so(config):
    assert joining.works(made(config))


@pytest.mark.parametrize("config", CANNOT, ids=lambda config: config.model_type)
def test_a_model_that_knows_places_by_other_means_is_found_out(config):
    assert not joining.works(made(config))


def test_rows_longer_than_the_window_of_attention_stay_apart():
    model = made(MistralConfig(**GROUPED, sliding_window=32))
    model.lab_joins = True
    beginning = tuple(range(3, 13))
    fit, too_long = ([data.Example((*beginning, *range(n, n + more)), 11) for n in (20, 60, 90)] for more in (5, 30))
    assert joining.joined(model, data.collate(fit, 0, model.device)).shared == 10
    assert joining.joined(model, data.collate(too_long, 0, model.device)).shared == 0
