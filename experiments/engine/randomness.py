"""A run's own stream of random numbers, so that a raced run draws what it would draw alone."""

from __future__ import annotations

from typing import Any

import torch


class RandomState:
    """A stream of random numbers of a run's own: inside the block it is torch's, outside nothing has changed."""

    def __init__(self, seed: int):
        self._states: tuple[Any, Any] = (torch.Generator().manual_seed(seed).get_state(), None)
        if torch.cuda.is_available():
            self._states = (self._states[0], torch.Generator("cuda").manual_seed(seed).get_state())

    @property
    def states(self) -> tuple[Any, Any]:
        """Where the stream is, on the CPU and on the GPU (None without one)."""
        return self._states

    def put(self, cpu: Any, gpu: Any = None) -> None:
        """Go to where a stream was."""
        self._states = (cpu, gpu)

    def __enter__(self) -> None:
        self._outside = get_states()
        set_states(self._states)

    def __exit__(self, *error: object) -> None:
        self._states = get_states()
        set_states(self._outside)


def get_states() -> tuple[Any, Any]:
    """Where torch's own streams are."""
    return torch.get_rng_state(), torch.cuda.get_rng_state() if torch.cuda.is_available() else None


def set_states(states: tuple[Any, Any]) -> None:
    """Put torch's own streams to where they were."""
    torch.set_rng_state(states[0])
    if states[1] is not None:
        torch.cuda.set_rng_state(states[1])
