"""Small networks put into a frozen model: down to a few features, a bend, up again, added to what was there.

Shapes: T tokens (any leading shape), D width, B bottleneck, N Kronecker factors, R rank, M adapters. The second matrix starts at zero, so
an untrained adapter changes nothing. They hang on modules of the model by a hook, whose weights keep their names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from experiments.engine.models import named

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "gelu": nn.GELU, "silu": nn.SiLU, "tanh": nn.Tanh}


class Bottleneck(nn.Module):
    """x → scale · up(activation(down(x))) (Houlsby et al. 2019, figure 2)."""

    def __init__(self, down: nn.Module, up: nn.Module, activation: str, scale: float):
        super().__init__()
        self.down, self.up, self.bend, self.scale = down, up, ACTIVATIONS[activation](), scale

    def forward(self, x_TD: Tensor) -> Tensor:
        out_TD: Tensor = self.up(self.bend(self.down(x_TD)))
        return out_TD * self.scale if self.scale != 1 else out_TD


def plain(width: int, narrow: int, activation: str, scale: float = 1.0) -> Bottleneck:
    """Two ordinary linear layers; the first starts small and random, the second at zero."""
    down, up = nn.Linear(width, narrow), nn.Linear(narrow, width)
    nn.init.kaiming_uniform_(down.weight, a=5**0.5)
    for started in (down.bias, up.weight, up.bias):
        nn.init.zeros_(started)
    return Bottleneck(down, up, activation, scale)


class Kronecker(nn.Module):
    """A linear layer whose matrix is Σᵢ Aᵢ ⊗ (left_i right_i), with A shared (Mahabadi et al. 2021, sections 4.1 to 4.3)."""

    def __init__(self, rule_NNN: nn.Parameter, inputs: int, outputs: int, rank: int, zero: bool):
        super().__init__()
        n = len(rule_NNN)
        self.rule_NNN = rule_NNN
        self.left = nn.Parameter(torch.randn(n, inputs // n, rank) * (inputs // n) ** -0.5)
        self.right = nn.Parameter(torch.zeros(n, rank, outputs // n) if zero else torch.randn(n, rank, outputs // n))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x_TD: Tensor) -> Tensor:
        each = torch.bmm(self.left, self.right)
        whole = torch.einsum("nab,ncd->acbd", self.rule_NNN, each)
        whole = whole.reshape(whole.shape[0] * whole.shape[1], -1)
        return nn.functional.linear(x_TD, whole.T, self.bias)


def kronecker(width: int, narrow: int, activation: str, rule_NNN: nn.Parameter, rank: int) -> Bottleneck:
    """The same bottleneck of Kronecker-factored layers."""
    down = Kronecker(rule_NNN, width, narrow, rank, zero=False)
    return Bottleneck(down, Kronecker(rule_NNN, narrow, width, rank, zero=True), activation, 1.0)


def rule(n: int) -> nn.Parameter:
    """The N × N × N numbers that all Kronecker-factored layers share."""
    return nn.Parameter(torch.randn(n, n, n) * n**-0.5)


class Fusion(nn.Module):
    """Attention over the outputs of M adapters: what comes out of the layer asks, what each adapter makes of it answers (Pfeiffer et
    al. 2021, section 3.2.2). Values begin as the identity, so that it starts as a mean of the adapters."""

    def __init__(self, width: int, adapters: list[Bottleneck]):
        super().__init__()
        self.adapters = nn.ModuleList(adapters).requires_grad_(False)
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        for layer in (self.query, self.key):
            nn.init.normal_(layer.weight, std=0.02)
        with torch.no_grad():
            nn.init.eye_(self.value.weight).add_(1e-6)

    def forward(self, x_TD: Tensor) -> Tensor:
        each_TMD = torch.stack([adapter(x_TD) for adapter in self.adapters], -2)
        weight_TM = (self.query(x_TD)[..., None, :] * self.key(each_TMD)).sum(-1).softmax(-1)
        return (weight_TM[..., None] * self.value(each_TMD)).sum(-2)


def trained(tensors: Mapping[str, Tensor], place: str, activation: str) -> Bottleneck:
    """The adapter that was saved under this module's name."""
    found = {name.removeprefix(f"{place}.adapter."): t for name, t in tensors.items() if name.startswith(f"{place}.")}
    narrow, width = found["down.weight"].shape
    adapter = plain(width, narrow, activation)
    adapter.load_state_dict(found)
    return adapter


def after(module: nn.Module, adapter: nn.Module) -> None:
    """Put the adapter behind a module: it reads and corrects what comes out."""
    module.adapter = adapter.to(next(module.parameters()).device)
    module.register_forward_hook(lambda held, inputs, out: out + held.adapter(out))


def parallel(module: nn.Module, adapter: Bottleneck) -> None:
    """Put the adapter beside a module: it reads what goes in and adds to what comes out (He et al. 2022, section 4)."""
    module.adapter = adapter.to(next(module.parameters()).device)
    module.register_forward_hook(lambda held, inputs, out: out + held.adapter(inputs[0]))


def marked(model: Any, method: str, settings: Any) -> Any:
    """The model, saying how it can be built again: saved with what was trained, by name."""
    model.lab_method = named(method, settings)
    return model
