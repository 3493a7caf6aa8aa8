"""Operations of a training step, and from them seconds and money.

A matrix of p weights takes 2 p operations a token forward, 2 p for the gradient of its input and 2 p for that of its
weights (Kaplan et al. 2020, section 2.1). A method saves passes: frozen weights need no gradient of their own, and blocks
below the lowest thing that trains need no backward pass at all. Left out: norms, softmax, the optimizer, copying.
"""

from __future__ import annotations

from dataclasses import dataclass

from experiments.accounting.arch import Arch
from experiments.accounting.footprint import Footprint
from experiments.accounting.machines import Machine
from experiments.accounting.memory import Load
from experiments.methods.base import Method, Settings


@dataclass(frozen=True)
class Flops:
    """Floating-point operations of one step, by pass; `again` is the second forward pass of checkpointing."""

    forward: float
    to_inputs: float
    to_weights: float
    again: float

    @property
    def total(self) -> float:
        return self.forward + self.to_inputs + self.to_weights + self.again


def flops(arch: Arch, method: Method, settings: Settings, load: Load) -> Flops:
    """Operations of one step of `load.batch_size` rows."""
    foot = method.footprint(arch, settings)
    row = load.tokens + foot.virtual_tokens
    tokens, learnt = load.batch_size * row, load.batch_size * load.tokens * load.learnt / 100
    matrices = arch.linear_size
    adapters = foot.passed + foot.thin_size
    # scores and their use: 2 · 2 · row · Q for each token of each block, half of it masked away
    scores = 2 * row * arch.heads * arch.head_dim * arch.layers * (1 + foot.prefix_tokens / row)
    head = 0 if arch.family == "bert" else arch.vocab * arch.width
    forward = tokens * (2 * (matrices + adapters) + scores) + learnt * 2 * head
    if not method.trains:
        return Flops(0.0, 0.0, 0.0, 0.0)
    above = (arch.layers - foot.lowest) / arch.layers
    to_inputs = above * tokens * (2 * (matrices + adapters) + 2 * scores) + learnt * 2 * head
    moved = sum(t.size for t in foot.moved if t.is_matrix and t.layer is not None)
    head_moves = any(t.shape == (arch.vocab, arch.width) for t in foot.moved)
    to_weights = 2 * tokens * (moved + adapters) + (2 * learnt * head if head_moves else 0)
    again = above * tokens * (2 * (matrices + adapters) + scores) if load.checkpointing else 0.0
    return Flops(forward, to_inputs, to_weights, again)


def saved_passes(arch: Arch, foot: Footprint) -> str:
    """Which passes a method saves, in a sentence."""
    if len(foot.moved) == len(arch.tensors):
        return "Nothing is saved: forward, gradients of inputs and gradients of weights."
    below = f", and no backward pass through the {foot.lowest} blocks below" if foot.lowest else ""
    return f"No gradients of frozen weights: about a third of the work{below}."


def seconds(operations: float, machine: Machine, half: bool) -> float:
    """Seconds from the machine's published rate and the stated utilisation."""
    rate = machine.half_tflops if half else machine.tflops
    return operations / (rate * 1e12 * machine.utilisation)


def cost(steps: int, a_step_s: float, price_an_hour: float) -> float:
    """What so many steps cost, in the money of the price."""
    return steps * a_step_s / 3600 * price_an_hour
