"""What autograd keeps of a forward pass for the backward one, counted from how transformers writes each family's block.

A test holds it against what PyTorch keeps in truth. Attention is PyTorch's own fused one with a mask for padding: keys and
values are repeated for every head, the scores are not kept. An input is kept only where a weight behind it is trained;
a frozen model therefore keeps far less.

Sizes a token: W width, Q all query heads together, F feed-forward width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from experiments.accounting.arch import Arch, Tensor
from experiments.accounting.footprint import NOWHERE, Footprint, Place


@dataclass(frozen=True)
class Step:
    """What one forward pass reads: rows, tokens a row, the share of them that is learnt; `half` is bf16."""

    rows: int
    tokens: int
    learnt: float = 1.0
    half: bool = False
    checkpointing: bool = False


@dataclass(frozen=True)
class Block:
    """How a family's block is written: norms with inputs of their own, copies of F that its activation function keeps,
    copies of Q beyond query, keys, values and output, whether attention's output is copied before its last matrix,
    whether one norm feeds attention and feed-forward, whether the norm keeps what it scales (RMSNorm), and how many
    copies of Q the matrix that makes queries, keys and values at once leaves behind where a prefix is put before them."""

    norms: int = 2
    activation: int = 3
    more_queries: int = 0
    copies_output: bool = False
    one_input: bool = False
    fused_before_prefix: int = 0
    scale_kept: bool = True


WORDS_AT_A_TIME = 4096
"""Of the vocabulary, where loss and frozen head are done at once."""
GATED = Block()
BLOCKS = {
    "gpt2": Block(activation=4, scale_kept=False, fused_before_prefix=2),  # GELU written out by its tanh formula
    "gpt_neox": Block(
        norms=1, activation=1, more_queries=2, copies_output=True, scale_kept=False, fused_before_prefix=-2
    ),
    "phi": Block(norms=1, activation=4, copies_output=True, one_input=True, scale_kept=False),
    "bert": Block(activation=1, scale_kept=False),
}


def words_at_once(arch: Arch, step: Step, all_scores: bool) -> int:
    """Of the vocabulary, how many have scores at the same time: some with a frozen head in float32 (`engine/head.py`), else all."""
    return arch.vocab if step.half or all_scores else min(arch.vocab, WORDS_AT_A_TIME)


def logit_bytes(arch: Arch, step: Step, all_scores: bool) -> int:
    """Scores of words at every learnt token. Of all: log-softmax and two gradients, always in float32, and in half precision the scores
    themselves; of some at a time: the scores, and the gradient of what enters the head. An encoder has none."""
    if arch.family == "bert":
        return 0
    learnt, words = ceil(step.rows * step.tokens * step.learnt), words_at_once(arch, step, all_scores)
    if step.half or all_scores:
        return learnt * words * (14 if step.half else 12)
    return learnt * 4 * (words + 3 * arch.width)


def activation_bytes(arch: Arch, foot: Footprint, step: Step) -> int:
    """What all blocks that the backward pass goes through keep; with checkpointing their inputs and the dearest block."""
    row = step.tokens + foot.virtual_tokens
    number = 2 if step.half else 4
    places = [foot.by_block.get(i, NOWHERE) for i in range(foot.lowest, arch.layers)]
    known = {place: _block(arch, foot, place, row, number) for place in set(places)}
    blocks = [known[place] for place in places]
    a_token: float = number * arch.width  # the last norm's input
    if step.checkpointing and blocks:
        a_token += max(blocks) + number * arch.width * len(blocks)
    else:
        a_token += sum(blocks)
    return ceil(step.rows * row * a_token) + _fixed_bytes(arch, foot, step)


def _fixed_bytes(arch: Arch, foot: Footprint, step: Step) -> int:
    """What is kept however many tokens a row has; the keys and values of gated tokens are kept for each row."""
    gated = 2 * arch.heads * arch.head_dim * foot.gated_tokens * (arch.layers - foot.lowest) * step.rows
    return 4 * (foot.fixed + gated) + (_direction_bytes(arch, foot) if foot.dora else 0)


def _direction_bytes(arch: Arch, foot: Footprint) -> int:
    """PEFT multiplies A and B out with an identity matrix to measure DoRA's directions, and keeps that and A; of a matrix that
    is stored the other way round (GPT-2's) it keeps a whole turned copy, too. The lengths are kept three times."""
    turned = sum(t.size for t in foot.beside) if arch.family == "gpt2" else 0
    measured = sum(arch.fan_in(t) * (arch.fan_in(t) + foot.rank) + 3 * arch.fan_out(t) for t in foot.beside)
    return 4 * (measured + turned)


def _block(arch: Arch, foot: Footprint, place: Place, row: int, number: int) -> float:
    """Bytes a token that one block keeps; `row` tokens in a row, `number` bytes an element."""
    moved, beside, scaled = place
    how = BLOCKS.get(arch.family, GATED)
    linears = {t.inside: t for t in arch.linears if t.layer == 0}
    hidden = max(arch.fan_in(t) for t in linears.values())
    queries = arch.heads * arch.head_dim
    one_for_each = arch.kv_width if arch.kv_heads == 1 else queries  # a single head is not copied to be shared
    stretched = one_for_each * (row + foot.prefix_tokens) / row  # the prefix stands with the keys and values
    elements = (2 + how.more_queries) * queries + 2 * stretched + how.activation * hidden + row + foot.prefix_tokens
    if foot.gated_tokens:  # the queries once more, the scores before and behind the gate
        elements += queries + 2 * arch.heads * foot.gated_tokens
    learning = moved if foot.dropout or foot.frozen_thin else (*moved, *beside)
    elements += _inputs(arch, {name: linears[name] for name in learning if name in linears}, how)
    if foot.prefix_tokens:
        elements += how.fused_before_prefix * queries
    elements += sum(_scaled_size(arch, linears[name]) for name in scaled)
    if how.scale_kept:
        elements += arch.width * sum(name.endswith("layernorm.weight") for name in moved)
    norms = how.norms * arch.width * (4 if how.scale_kept else number)  # an RMSNorm works in float32
    adapters = sum(_beside(arch, foot, linears[name]) for name in beside if name in linears)
    return number * elements + norms + 4 * (adapters + arch.heads + foot.a_token)


def _inputs(arch: Arch, learning: Mapping[str, Tensor], how: Block) -> int:
    """Elements a token of the inputs that matrices with something to learn keep; those that share one keep it once."""
    groups: dict[str, int] = {}
    for t in learning.values():
        if not _in_attention(t):
            groups["out" if _is_way_out(arch, t) else "in"] = arch.fan_in(t)
        elif t.module not in ("o_proj", "c_proj", "dense"):
            groups["attention in"] = arch.fan_in(t)
        elif how.copies_output:
            groups["attention out"] = arch.fan_in(t)
    if how.one_input and "attention in" in groups:
        groups.pop("in", None)
    return sum(groups.values())


def _beside(arch: Arch, foot: Footprint, t: Tensor) -> int:
    """Elements a token, in float32, that thin matrices beside `t` keep on top of the input."""
    dropped = 2 * arch.fan_in(t) if foot.dropout else 0  # its own thinned input, and which features were dropped
    outputs = (
        2 if foot.dora else 1 if foot.frozen_thin else 0
    )  # both summands of DoRA's direction; what VeRA's b scales
    return foot.rank + dropped + outputs * arch.fan_out(t)


def _scaled_size(arch: Arch, t: Tensor) -> int:
    return arch.fan_in(t) if _is_way_out(arch, t) else arch.fan_out(t)


def _in_attention(t: Tensor) -> bool:
    return "attn" in t.name or "attention" in t.name


def _is_way_out(arch: Arch, t: Tensor) -> bool:
    return not _in_attention(t) and arch.fan_in(t) > arch.fan_out(t)
