"""Head and loss at once: what softmax over all words gives, without their scores; and only where the head is all there is."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoModelForCausalLM, Gemma2Config, GraniteConfig

from experiments.engine import data, head, loss
from tests.engine.trials import begin, rows


def exact(hidden_ND: torch.Tensor, words_N: torch.Tensor, layer: nn.Linear) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses and the gradient of their weighted sum, in float64."""
    hidden_ND = hidden_ND.detach().double().requires_grad_()
    bias_V = None if layer.bias is None else layer.bias.double()
    found_N = F.cross_entropy(F.linear(hidden_ND, layer.weight.double(), bias_V), words_N, reduction="none")
    (found_N * torch.arange(len(found_N))).sum().backward()
    assert hidden_ND.grad is not None
    return found_N.detach(), hidden_ND.grad


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("words_at_a_time", [1, 7, 90, 4096])
@pytest.mark.parametrize("scale", [0.01, 1.0, 300.0])
def test_losses_and_gradient_are_those_of_softmax_over_all_words(monkeypatch, bias, words_at_a_time, scale):
    monkeypatch.setattr(head, "WORDS", words_at_a_time)
    torch.manual_seed(0)
    layer = nn.Linear(16, 90, bias=bias).requires_grad_(False)
    hidden_ND = (scale * torch.randn(11, 16)).requires_grad_()
    words_N = torch.randint(0, 90, (11,))
    found_N = head.losses(hidden_ND, words_N, layer)
    (found_N * torch.arange(11)).sum().backward()
    losses_N, gradient_ND = exact(hidden_ND, words_N, layer)
    torch.testing.assert_close(found_N.double(), losses_N, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(hidden_ND.grad.double(), gradient_ND, rtol=1e-4, atol=1e-5)


def test_a_hidden_state_that_is_no_number_gives_a_loss_that_is_none():
    layer = nn.Linear(4, 9).requires_grad_(False)
    assert head.losses(torch.full((2, 4), torch.nan), torch.tensor([0, 1]), layer).isnan().all()


def test_the_scores_of_all_words_are_never_there_together(base, monkeypatch):
    """Of the tensors of a LoRA step none is as large as the table of scores, which the plain loss makes."""
    monkeypatch.setattr(head, "WORDS", 512)
    batch = data.collate(rows(base, 0, 4), 0, base.device)
    table = int(batch.learn_BT.sum()) * base.model.config.vocab_size
    known = {p.numel() for p in base.model.parameters()}

    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        made = 0

        def __torch_dispatch__(self, call, types, args=(), kwargs=None):  # noqa: ANN001, ANN204
            out = call(*args, **(kwargs or {}))
            if torch.is_tensor(out) and out.numel() not in known:
                self.made = max(self.made, out.numel())
            return out

    model = begin(base, "lora", {}).model
    with Largest() as at_once:
        loss.completion_loss(model, batch).backward()
    with Largest() as plain:
        loss.token_losses(model, batch).mean().backward()
    assert at_once.made < table <= plain.made


@pytest.mark.parametrize(
    ("method", "settings", "is_frozen"),
    [("lora", {}, True), ("prompt", {}, True), ("partial", {"last_layers": 1}, True), ("full", {}, False)],
)
def test_only_a_frozen_head_goes_this_way(base, method, settings, is_frozen):
    model = begin(base, method, settings).model
    assert (head.frozen(model) is not None) == is_frozen
    batch = data.collate(rows(base, 0, 4), 0, base.device)
    with torch.no_grad():
        found, plain = loss.completion_loss(model, batch), loss.token_losses(model, batch).mean()
    assert float(found) == pytest.approx(float(plain), abs=1e-5)


SIZE = {"vocab_size": 200, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}


@pytest.mark.parametrize(
    ("config", "is_all"),
    [
        (Gemma2Config(**SIZE, num_key_value_heads=2, head_dim=8, final_logit_softcapping=30.0), False),
        (GraniteConfig(**SIZE, num_key_value_heads=2, logits_scaling=4.0), False),
        (GraniteConfig(**SIZE, num_key_value_heads=2, logits_scaling=1.0), True),
    ],
)
def test_a_model_that_does_more_to_its_scores_is_found_out(config, is_all):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config).eval()
    assert head.is_all(model) == is_all
    assert "forward" not in vars(model.get_output_embeddings())
