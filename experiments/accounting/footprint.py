"""What of a model a method touches in a training step: the common ground of memory and time.

A method says it in its own file; one that does not is taken for something small beside a frozen model, with a backward
pass through every block.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from experiments.accounting.arch import Tensor

Place = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]
"""What moves of a block, what has thin matrices beside it, what is scaled: names in the block."""
NOWHERE: Place = ((), (), ())


@dataclass(frozen=True)
class Footprint:
    """`lowest` is the block that the backward pass ends in; `moved` are the model's own weights that train. `beside` are
    the matrices with thin ones of `rank` beside them, whose inputs are kept for the backward pass; `dropout` and `dora`
    make each keep more. The output or input of `scaled` ones is multiplied. `virtual_tokens` make every row longer,
    `prefix_tokens` only the keys and values; `gated_tokens` stand in attention of their own. `frozen_thin`: the thin
    matrices never train, only vectors behind each of them do. `a_token`: numbers kept for
    each token of each block beside these; `passed`: weights of small networks that every token passes through, all blocks
    together. `fixed`: numbers kept however many tokens there are, such as
    thin matrices that are multiplied out to a whole one in every step. `packed`: the precision in which the method keeps the
    matrices inside blocks, whatever the others are in; `optimizer`: the one it brings.
    """

    lowest: int = 0
    moved: tuple[Tensor, ...] = ()
    beside: tuple[Tensor, ...] = ()
    rank: int = 0
    dropout: bool = False
    dora: bool = False
    scaled: tuple[Tensor, ...] = ()
    virtual_tokens: int = 0
    prefix_tokens: int = 0
    gated_tokens: int = 0
    frozen_thin: bool = False
    a_token: int = 0
    passed: int = 0
    fixed: int = 0
    packed: Literal["", "int8", "nf4", "nf4-double"] = ""
    optimizer: Literal["", "adamw-8bit", "paged-adamw-8bit"] = ""

    @cached_property
    def by_block(self) -> dict[int, Place]:
        """What is touched in each block that anything is touched in."""
        found: dict[int, tuple[list[str], list[str], list[str]]] = defaultdict(lambda: ([], [], []))
        for kind, tensors in enumerate((self.moved, self.beside, self.scaled)):
            for t in tensors:
                if t.layer is not None:
                    found[t.layer][kind].append(t.inside)
        return {layer: (tuple(a), tuple(b), tuple(c)) for layer, (a, b, c) in found.items()}

    @cached_property
    def moved_size(self) -> int:
        return sum(t.size for t in self.moved)

    @cached_property
    def thin_size(self) -> int:
        """Numbers in the thin matrices."""
        return self.rank * sum(sum(t.shape) for t in self.beside)
