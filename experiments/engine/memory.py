"""How much memory this process holds and held at most. On Linux from /proc, elsewhere what psutil can tell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import torch

from experiments.freeing import give_back

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def resident_mb() -> float:
    """Resident memory now, in 10⁶ bytes; on a GPU, what torch has allocated there."""
    if torch.cuda.is_available():
        return torch.cuda.memory_allocated() / 1e6
    return psutil.Process().memory_info().rss / 1e6


def trim() -> None:
    """Give freed memory back to the system, so that the next peak is not hidden in it."""
    give_back()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def reset_peak() -> None:
    """Start a new peak."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
        return
    try:
        CLEAR.write_text("5")
    except OSError:
        return


def peak_mb() -> float:
    """The highest resident memory since `reset_peak`, in 10⁶ bytes."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e6
    try:
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e6
    except (OSError, StopIteration):
        return resident_mb()


def tensor_mb(tensor: Any) -> float:
    """Size of a tensor in 10⁶ bytes; 0 for anything else."""
    return tensor.numel() * tensor.element_size() / 1e6 if torch.is_tensor(tensor) else 0.0


def weights_mb(model: Any) -> float:
    """What the frozen weights of this model take, scales and all, in 10⁶ bytes."""
    return sum(_weight_mb(p) for p in model.parameters() if not p.requires_grad)


def _weight_mb(weight: Any) -> float:
    state, scales = getattr(weight, "quant_state", None), [getattr(weight, "SCB", None)]
    if state is not None:
        scales = [state.absmax, state.state2.absmax if state.nested else None]
    return tensor_mb(weight) + sum(map(tensor_mb, scales))


@dataclass
class Meter:
    """Memory of one run among others in the same process, all in 10⁶ bytes.

    What the run holds from step to step is counted from its tensors; how far a phase ("backward", "update") goes above what
    was there before it is measured, at its largest batch and with freed memory given back first. `packed_away_mb`: what is
    saved where the method packs the frozen weights; the unpacked ones stay here for the base alone, and are not the run's.
    """

    parameters_mb: float = 0.0
    gradients_mb: float = 0.0
    state_mb: float = 0.0
    packed_away_mb: float = 0.0
    largest: dict[str, int] = field(default_factory=dict)
    above_mb: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def over(self, phase: str, size: int) -> Iterator[None]:
        """Measure this block where its `size` is the largest so far."""
        if size <= self.largest.get(phase, 0):
            yield
            return
        self.largest[phase] = size
        trim()
        before = resident_mb()
        reset_peak()
        yield
        self.above_mb[phase] = max(self.above_mb.get(phase, 0.0), peak_mb() - before)

    def peak_mb(self, resting_mb: float) -> float:
        """The highest of a step: the resting process, the run's own parameters, and the higher of its two phases.

        The first backward pass makes the gradients, the first update makes the optimizer's state, so each phase is given
        what the other one made.
        """
        backward = self.above_mb.get("backward", 0.0) + self.state_mb
        update = self.above_mb.get("update", 0.0) + self.gradients_mb
        return resting_mb - self.packed_away_mb + self.parameters_mb + max(backward, update)
