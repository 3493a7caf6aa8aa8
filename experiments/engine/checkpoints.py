"""The state of a training on disk, so that an interrupted run goes on where it was and a finished one can be trained longer.

It promises: a run that goes on has the losses, bit for bit, that it would have had without the interruption. One folder a
run, written under a temporary name and renamed; tensors as safetensors, the rest as JSON, nothing that could run code.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from experiments import events, states
from experiments.engine import adapters
from experiments.engine.provenance import versions
from experiments.engine.randomness import RandomState
from experiments.engine.trial import Trial
from experiments.recipe import TrainSettings, look_steps
from experiments.specs import RunSpec

log = logging.getLogger(__name__)
EVERY_S = float(os.environ.get("LAB_CHECKPOINT_S", "20"))  # seconds of a run that an interruption may cost
MOST_OF_THE_TIME = 0.05  # what writing may take of it
FINAL_MB = (
    200.0  # a finished run's state is kept up to here: full fine-tuning of the real model would leave 1.6 GB a run
)
NOT_STATE = ("parameter.", "best.", "method.")  # how the names of tensors begin that are not the optimizer's
LOOKS_MB = 40.0  # the adapters that a run keeps at its looks take no more: four of LoRA's on the real model


@dataclass
class Best:
    """The best look so far, for early stopping: its step, its loss, how many looks since, and the parameters then."""

    step: int = 0
    loss: float | None = None
    since: int = 0
    parameters: list[torch.Tensor] = field(default_factory=list)


@dataclass
class Progress:
    """How far a run is: what is not in the trial. `history`: what was seen so far, to be told again."""

    step: int = 0
    elapsed_s: float = 0.0
    best: Best = field(default_factory=Best)
    history: list[events.Event] = field(default_factory=list)

    @property
    def has_looked(self) -> bool:
        """Whether the look at this step, where there is one, was taken to its end."""
        return any(isinstance(e, events.Evaluated) and e.step == self.step for e in self.history)


class Checkpoints:
    """The checkpoints of a lab, one a run, in `folder`."""

    def __init__(self, folder: Path):
        self.folder, self.looks = folder, folder.with_name(states.LOOKS)
        self.every_s = EVERY_S
        self._next_s = time.monotonic() + EVERY_S

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() >= self._next_s

    def begun(self) -> None:
        """A run begins: the first checkpoint is due some time from now."""
        self._next_s = time.monotonic() + self.every_s

    def write(
        self, spec: RunSpec, trial: Trial, random_state: RandomState, progress: Progress, final: bool = False
    ) -> None:
        """Keep this state in place of the last. A disk that is full costs the checkpoint, not the run."""
        began, place = time.monotonic(), self.folder / spec.run_id
        partial = place.with_name(place.name + ".part")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            save_file(dict(_tensors(trial, random_state, progress.best)), partial / states.TENSORS)
            (partial / states.STATE).write_text(json.dumps(_said(spec, trial, progress, final)), "utf8")
            shutil.rmtree(place, ignore_errors=True)
            partial.rename(place)
        except OSError:
            log.exception("no checkpoint of %s", spec.run_id)
            shutil.rmtree(partial, ignore_errors=True)
        took_s = time.monotonic() - began
        self._next_s = time.monotonic() + max(self.every_s, took_s / MOST_OF_THE_TIME if self.every_s else 0.0)

    def stopped(self, spec: RunSpec, trial: Trial, random_state: RandomState, progress: Progress) -> None:
        """Keep the state of a run that is stopped between two steps or in a look: asked for again it loses at most that look."""
        if not (progress.step and trial.step == progress.step and trial.optimizer and size_mb(trial) <= FINAL_MB):
            return
        if progress.step == spec.train.steps or not progress.has_looked:  # that look is taken again
            told = progress.history
            progress.history = [
                e for e in told if isinstance(e, events.Stepped) or getattr(e, "step", 0) < progress.step
            ]
        self.write(spec, trial, random_state, progress)

    def look(self, spec: RunSpec, step: int, model: Any, trial: Trial) -> None:
        """Keep the adapter as it is at a look, so that it can be asked later. A full disk costs this, not the run."""
        if step in kept_looks(spec.train, size_mb(trial) / 3):
            try:
                adapters.save(model, self.looks / spec.run_id / str(step))
            except OSError:
                log.exception("no adapter of %s at step %d", spec.run_id, step)

    def drop(self, spec: RunSpec) -> None:
        """The run has ended and leaves no state."""
        shutil.rmtree(self.folder / spec.run_id, ignore_errors=True)

    def resume(self, spec: RunSpec, trial: Trial, random_state: RandomState) -> Progress:
        """Bring the trial to where the run, or the one that it goes on from, was; a fresh progress where there is nothing.

        Raises `ValueError` where the spec names a run to go on from that is not here or that it does not fit.
        """
        own = states.read(self.folder, spec.run_id)
        if own and not own["final"] and own["made_with"] == _made_with():
            return self._restore(spec.run_id, own, trial, random_state)
        if not spec.start:
            return Progress()
        earlier = states.read(self.folder, spec.start)
        if earlier is None or not earlier["final"]:
            raise ValueError(
                f"Run {spec.start} keeps no state to go on from on this machine: it is not finished here, it stopped early, or "
                f"its state was larger than {FINAL_MB:.0f} MB. Train it anew with more steps."
            )
        _fits(spec, RunSpec.model_validate(earlier["spec"]))
        return self._restore(spec.start, earlier, trial, random_state)

    def _restore(self, run_id: str, said: dict[str, Any], trial: Trial, random_state: RandomState) -> Progress:
        try:
            tensors = load_file(self.folder / run_id / states.TENSORS)
            history = [events.ADAPTER.validate_python(e) for e in said["history"]]
            best = Best(**said["best"], parameters=_numbered(tensors, "best"))
            _put_back(trial, tensors)
            trial.step = int(said["step"])
            random_state.put(tensors["random"], tensors.get("random_gpu"))
        except (OSError, KeyError, TypeError, SafetensorError, ValidationError) as error:
            raise ValueError(f"The checkpoint of run {run_id} is damaged; start it again.") from error
        trial.train_s, trial.tokens = float(said["train_s"]), int(said["tokens"])
        return Progress(int(said["step"]), float(said["elapsed_s"]), best, history)


def _said(spec: RunSpec, trial: Trial, progress: Progress, final: bool) -> dict[str, Any]:
    best = progress.best
    return {
        "spec": spec.model_dump(mode="json"), "final": final, "made_with": _made_with(), "step": progress.step,
        "elapsed_s": progress.elapsed_s, "train_s": trial.train_s, "tokens": trial.tokens,
        "best": {"step": best.step, "loss": best.loss, "since": best.since},
        "history": [event.model_dump(mode="json") for event in progress.history],
    }  # fmt: skip


def _made_with() -> dict[str, Any]:
    """What has to be the same for the same bits."""
    return {**versions(), "threads": torch.get_num_threads(), "cuda": torch.cuda.is_available()}


def _fits(spec: RunSpec, earlier: RunSpec) -> None:
    """Raises `ValueError` where a run does not go on from the earlier one."""
    free: Any = {"start": True, "train": set(type(spec.train).model_fields) - {"batch_size", "accumulate"}}
    if spec.model_dump(exclude=free) != earlier.model_dump(exclude=free):
        raise ValueError(
            f"Run {earlier.run_id} has another model, task, method, settings, seed or batch: it cannot be gone on from."
        )
    if spec.train.steps <= earlier.train.steps:
        raise ValueError(f"Run {earlier.run_id} has {earlier.train.steps} steps already; ask for more than that.")


def _tensors(trial: Trial, random_state: RandomState, best: Best) -> Iterator[tuple[str, torch.Tensor]]:
    assert trial.optimizer is not None
    yield "random", random_state.states[0]
    if random_state.states[1] is not None:
        yield "random_gpu", random_state.states[1]
    for i, parameter in enumerate(trial.parameters):
        yield f"parameter.{i}", parameter.detach().contiguous()
        for name, value in trial.optimizer.state[parameter].items():
            yield f"{name}.{i}", torch.as_tensor(value).clone()  # bitsandbytes counts steps in an int, and shares maps
    for i, kept in enumerate(best.parameters):
        yield f"best.{i}", kept
    for name, value in _of_method(trial):
        yield f"method.{name}", value.contiguous()


def _of_method(trial: Trial) -> Iterator[tuple[str, torch.Tensor]]:
    """What the method itself leaves from one step to the next."""
    if trial.method and trial.method.between_steps:
        yield from trial.method.between_steps(trial.model).items()


def _numbered(tensors: dict[str, torch.Tensor], name: str) -> list[torch.Tensor]:
    count = sum(key.startswith(f"{name}.") for key in tensors)
    return [tensors[f"{name}.{i}"] for i in range(count)]


def _put_back(trial: Trial, tensors: dict[str, torch.Tensor]) -> None:
    """Parameters and the optimizer's state as they were."""
    assert trial.optimizer is not None
    with torch.no_grad():
        for i, parameter in enumerate(trial.parameters):
            if tensors[f"parameter.{i}"].shape != parameter.shape:
                raise KeyError(f"parameter.{i}")
            parameter.copy_(tensors[f"parameter.{i}"])
            trial.optimizer.state[parameter] = _state(tensors, i, parameter.device)
        for name, value in _of_method(trial):
            if f"method.{name}" in tensors:
                value.copy_(tensors[f"method.{name}"])


def _state(tensors: dict[str, torch.Tensor], i: int, device: torch.device) -> dict[str, Any]:
    """What the optimizer knew of the i-th parameter; a count that was a Python number is one again."""
    names = [name for name in tensors if name.endswith(f".{i}") and not name.startswith(NOT_STATE)]
    found = {name.removesuffix(f".{i}"): tensors[name] for name in names}
    whole = (torch.int64, torch.int32)
    return {n: int(t) if not t.dim() and t.dtype in whole else t.to(device) for n, t in found.items()}


def kept_looks(train: TrainSettings, adapter_mb: float) -> set[int]:
    """The looks at which an adapter of this size is kept: all, else the one in the middle, else none."""
    steps = {0, *look_steps(train)}
    if adapter_mb * len(steps) <= LOOKS_MB:
        return steps
    return {min(steps, key=lambda step: abs(2 * step - train.steps))} if adapter_mb <= LOOKS_MB else set()


def kept(parameters: Sequence[torch.nn.Parameter]) -> list[torch.Tensor]:
    """Copies of the parameters as they are now."""
    return [p.detach().clone() for p in parameters]


def size_mb(trial: Trial) -> float:
    """What a checkpoint of this trial takes: the parameters and two moments of each, in 10⁶ bytes."""
    return 3 * sum(p.numel() * p.element_size() for p in trial.parameters) / 1e6
