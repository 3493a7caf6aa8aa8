"""Memory of a training step, by part, before anything is loaded.

Weights, gradients and optimizer states are exact sums; activations are in `activations.py`. `LEAVES_OUT` says what is
not in the sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, prod
from typing import Literal, cast

from pydantic import BaseModel, ConfigDict

from experiments.accounting.activations import Step, activation_bytes, logit_bytes, words_at_once
from experiments.accounting.arch import Arch, Tensor
from experiments.accounting.footprint import Footprint
from experiments.methods.base import Method, Settings, knob

Precision = Literal["float32", "bf16", "int8", "nf4", "nf4-double"]
Optimizer = Literal["adamw", "adamw-8bit", "paged-adamw-8bit", "sgd", "adafactor"]
FRAMEWORK = {"cpu": 0.44e9, "gpu": 0.9e9}
"""Python, PyTorch and its libraries (measured here, see benchmarks/RESULTS.md; PEFT alone brings bitsandbytes with it); on a GPU
the CUDA context and workspaces, which is assumed."""
LEAVES_OUT = (
    "Left out: what a GPU's allocator wastes between tensors, buffers of matrix libraries, several GPUs, generation, the data, "
    "and attention that keeps all its scores (eager). With a frozen head in float32 the lab makes scores of 4,096 words at a time; "
    "a trainer that makes all of them at once holds 12 bytes more for each word and learnt token."
)
PARTS = ("weights", "trained", "gradients", "optimizer", "activations", "logits", "waste", "framework", "not_at_once")
WASTE, WASTE_BESIDE = 0.33, 1.1
"""What the C library's allocator leaves unused between tensors on a CPU: a share of the activations, and of the outputs of
matrices with something beside them, which come and go. Fitted to eight runs (docs/LOG.md); on a GPU it is not measured."""
GIVEN_BACK = 32 * 2**20
"""A block larger than this goes back to the system as soon as it is freed (glibc's highest threshold, mallopt(3))."""


class Load(BaseModel):
    """What a training step is given, and how numbers are kept."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    batch_size: int = knob(
        4, "Batch", ge=1, le=4096, unit="rows", low="One row is the least memory.", high="Activations grow with it."
    )
    tokens: int = knob(
        128, "Tokens a row", ge=1, le=1_000_000, unit="tokens",
        low="Short rows are quick.", high="Activations grow with it, attention faster than that.",
    )  # fmt: skip
    learnt: float = knob(
        100.0, "Tokens learnt", gt=0, le=100, unit="%",
        low="Only answers count: this lab makes logits for those alone.", high="100 where every token counts.",
    )  # fmt: skip
    precision: Precision = knob(
        "float32", "Precision",
        low="NF4 keeps a weight in 4 bits and a shared scale for every 64; double quantization packs the scales, too.",
        high="float32 is what this lab trains in on a CPU.",
    )  # fmt: skip
    optimizer: Optimizer = knob(
        "adamw", "Optimizer",
        low="SGD keeps nothing; Adafactor a row and a column for each matrix.",
        high="AdamW keeps two numbers for each that is trained; paged ones can make way to the host's memory.",
    )  # fmt: skip
    checkpointing: bool = knob(
        False, "Checkpointing",
        low="Off: every block's activations wait for the backward pass.",
        high="On: only each block's input; a third more time.",
    )  # fmt: skip
    keeps_base: bool = knob(
        False, "Keep the base beside it",
        low="Off: weights that train are changed in place.",
        high="On: they are copied first, as this lab does to compare with the base.",
    )  # fmt: skip
    device: Literal["cpu", "gpu"] = knob("cpu", "Runs on", low="Python and PyTorch.", high="The CUDA context.")


@dataclass(frozen=True)
class Memory:
    """Bytes by part. `trained` stands beside the weights: an adapter, or a copy of what moves. `pageable` of the
    optimizer's may lie in the host's memory. `not_at_once` is negative: gradients take `room` of what has gone, on a GPU all
    activations, on a CPU the unused room between tensors and that of logits large enough to be given back."""

    weights: int
    trained: int
    gradients: int
    optimizer: int
    activations: int
    logits: int
    waste: int
    framework: int
    not_at_once: int
    room: int = 0
    pageable: int = 0

    @property
    def total(self) -> int:
        """The highest moment of a step."""
        return sum(getattr(self, part) for part in PARTS)


def predict(arch: Arch, method: Method, settings: Settings, load: Load, all_scores: bool = False) -> Memory:
    """Bytes of a training step. `all_scores`: by a trainer that makes those of all words at once, as TRL's do."""
    foot, trainable = method.footprint(arch, settings), method.count(arch, settings)
    moved = foot.moved_size
    half = load.precision != "float32"
    step = Step(load.batch_size, load.tokens, load.learnt / 100, half, load.checkpointing)
    all_scores, activations, logits = all_scores or _moves_head(arch, foot), 0, 0
    if trainable:
        activations, logits = activation_bytes(arch, foot, step), logit_bytes(arch, step, all_scores)
    gradients = 4 * (trainable - moved) + (2 if half else 4) * moved
    optimizer = optimizer_bytes(arch, foot, trainable, load)
    # weights that move in bf16 have a float32 master copy (mixed precision); in float32 only where the base is kept
    copies = 4 * moved if half or load.keeps_base else 0
    beside = 4 * step.rows * step.tokens * sum(map(arch.fan_out, foot.beside))
    waste = round(WASTE * activations + WASTE_BESIDE * beside) if load.device == "cpu" else 0
    late = gradients + (4 * arch.vocab * arch.width if _tied_and_moved(arch, foot) else 0)
    room = (
        activations + logits
        if load.device == "gpu"
        else waste + _given_back(step, words_at_once(arch, step, all_scores), logits)
    )
    return Memory(
        weights=weight_bytes(arch, load.precision, foot.packed),
        trained=4 * (trainable - moved) + copies,
        gradients=late,
        optimizer=optimizer,
        activations=activations,
        logits=logits,
        waste=waste,
        framework=int(FRAMEWORK[load.device]),
        not_at_once=-min(late, room),
        room=room,
        pageable=optimizer if (foot.optimizer or load.optimizer).startswith("paged") else 0,
    )


def _given_back(step: Step, words: int, logits: int) -> int:
    """Of the logits' bytes, those that are back with the system before the first gradient is there."""
    return logits if 4 * step.rows * step.tokens * step.learnt * words > GIVEN_BACK else 0


def problems(arch: Arch, method: Method, settings: Settings, load: Load) -> dict[str, str]:
    """One sentence for each field of the load that this model and method cannot take."""
    found = {}
    foot = method.footprint(arch, settings)
    room = arch.max_length - foot.virtual_tokens - foot.prefix_tokens
    if load.tokens > room:
        found["tokens"] = f"{load.tokens:,} tokens do not fit: this model reads {arch.max_length:,}" + (
            f", {arch.max_length - room} of them virtual." if room < arch.max_length else "."
        )
    packed = {t.name for t in _packed(arch, load.precision)}
    if any(t.name in packed for t in foot.moved):
        found["precision"] = (
            f"{method.title} moves weights that {load.precision} packs; packed weights cannot be trained."
        )
    return found


# Weights and optimizer


def weight_bytes(arch: Arch, precision: Precision, by_method: str = "") -> int:
    """The model itself. int8 and NF4 pack the matrices inside blocks; the rest is in bf16, or as it was where the method packs."""
    rest_bytes = 4 if precision == "float32" else 2
    precision = cast(Precision, by_method) or precision
    packed = sum(t.size for t in _packed(arch, precision))
    rest = arch.total - packed
    if precision == "int8":  # one float32 scale for each row (LLM.int8)
        return packed + 4 * sum(arch.fan_out(t) for t in arch.linears) + rest_bytes * rest
    # a float32 scale for each 64 weights; doubled: 8 bits for each 64, float32 for each 256 of those (QLoRA, section 3)
    a_weight = {"float32": 4.0, "bf16": 2.0, "nf4": 0.5 + 4 / 64, "nf4-double": 0.5 + 1 / 64 + 4 / (64 * 256)}[
        precision
    ]
    return ceil(packed * a_weight) + rest_bytes * rest


def _packed(arch: Arch, precision: Precision) -> tuple[Tensor, ...]:
    return arch.linears if precision in ("int8", "nf4", "nf4-double") else ()


def _tied_and_moved(arch: Arch, foot: Footprint) -> bool:
    """A tied table gets its gradient twice: from the head, and from the embedding, which comes last and on top."""
    return (
        _moves_head(arch, foot)
        and sum(t.shape == (arch.vocab, arch.width) for t in arch.tensors) == 1
        and arch.family != "bert"
    )


def _moves_head(arch: Arch, foot: Footprint) -> bool:
    return any(t.shape == (arch.vocab, arch.width) for t in foot.moved)


def optimizer_bytes(arch: Arch, foot: Footprint, trainable: int, load: Load) -> int:
    """States of the optimizer, in float32 or in blocks of 256 eight-bit numbers with a float32 scale."""
    match foot.optimizer or load.optimizer:
        case "adamw":
            return 8 * trainable
        case "adamw-8bit" | "paged-adamw-8bit":
            return 2 * trainable + ceil(2 * 4 * trainable / 256)
        case "sgd":
            return 0
    shapes = [t.shape for t in foot.moved]
    for t in foot.beside:
        shapes += [(foot.rank, arch.fan_in(t)), (arch.fan_out(t), foot.rank)]
    rest = max(trainable - sum(map(prod, shapes)), 0)  # what no shape is known of is kept whole
    return 4 * sum(map(sum, shapes)) + 4 * rest
