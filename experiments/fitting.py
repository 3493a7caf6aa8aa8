"""Whether a run fits into this machine, foretold before anything is loaded: the calculator's memory model against what is here."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

from experiments import methods, objectives, specs
from experiments.accounting import Arch
from experiments.accounting.memory import Load, predict
from experiments.catalog import models, tasks
from experiments.catalog.cache import ResourceError
from experiments.specs import Problem, RunSpec, SpecError

SPARE_MB = 200.0  # left to the system and the page
TRAINERS_MB = 110.0  # TRL and its libraries (770 MB measured for 672 foretold without, 996 for 878)
CARDS, LIMIT = Path("/proc/driver/nvidia/gpus"), Path("/sys/fs/cgroup/memory.max")


def needed_mb(spec: RunSpec, arch: Arch) -> float:
    """The memory that this machine must have for a run, in 10⁶ bytes: a packed base keeps the unpacked one beside it."""
    is_packed = methods.find(spec.method).footprint(arch, spec.settings).packed
    return peak_mb(spec, arch) + (4 * sum(t.size for t in arch.linears) / 1e6 if is_packed else 0.0)


def peak_mb(spec: RunSpec, arch: Arch, tokens: int | None = None) -> float:
    """The highest memory of a step, in 10⁶ bytes, as the run will tell it: foretold, to some percent. `tokens`: those of a row of its
    longest batch, where they are known; else the task's longest. What all rows begin with counts once."""
    objective = objectives.find(spec.objective)
    rows = objective.kept(spec.train.batch_size, spec.goal)
    whole = tokens or (spec.data.max_length if spec.data else _row_tokens(spec.task))
    read = max(1, round(whole - _shared(spec) * (rows - 1) / rows))
    # TRL makes logits of the prompt, too
    learnt = 100 if objective.is_trls and not objective.scores else min(50 * whole / read, 100)
    load = Load(batch_size=rows, tokens=read, learnt=learnt, keeps_base=True)
    trainers = TRAINERS_MB if objective.is_trls else 0.0
    found = predict(arch, methods.find(spec.method), spec.settings, load, all_scores=objective.is_trls)
    return found.total / 1e6 + trainers


def _row_tokens(key: str) -> int:
    task = tasks.find(key)
    return task.row_tokens or task.max_length


def _shared(spec: RunSpec) -> int:
    """Tokens that all rows of the task begin with, where they are read once a batch (`engine/joining.py`)."""
    apart = spec.data is not None or objectives.find(spec.objective).is_trls or getattr(spec.settings, "dropout", 0) > 0
    return 0 if apart else tasks.find(spec.task).shared_tokens


def foretold_mb(spec: RunSpec) -> float | None:
    """`peak_mb`, None as long as the architecture is not known. Raises `ValueError` for a model that is not known."""
    arch = models.arch(models.find(spec.model, local=True))
    return peak_mb(spec, arch) if arch else None


def cores() -> int:
    """Cores this process may use, which in a container are fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def here_mb() -> float | None:
    """Memory of this machine, or of the container, in 10⁶ bytes; None with a GPU, whose own is not known without torch."""
    if CARDS.is_dir() and any(CARDS.iterdir()):
        return None
    whole = psutil.virtual_memory().total
    with contextlib.suppress(OSError, ValueError):  # not Linux, or no limit
        whole = min(whole, int(LIMIT.read_text()))
    return whole / 1e6


def check(spec: RunSpec, arch: Arch) -> None:
    """Raise `SpecError` with the numbers where the run cannot fit."""
    here = here_mb()
    if here is not None and (said := refusal(needed_mb(spec, arch), here, spec.train.batch_size)):
        raise SpecError([Problem("train.batch_size", said)])


def ready(spec: RunSpec, local: bool = False) -> RunSpec:
    """The spec as it can be submitted: checked against its model and this machine, with the weights that would be used now.

    It may ask the hub. `local`: a folder may be a model, as on the command line. Raises `SpecError`.
    """
    try:
        entry = models.find(spec.model, local)
        arch = models.arch(entry)
        weights = spec.weights or models.weights_of(entry)
    except (ValueError, ResourceError) as error:
        raise SpecError([Problem("model", str(error))]) from None
    if arch:
        specs.check(spec, arch)
        check(spec, arch)
    return spec.model_copy(update={"model": entry.key, "weights": weights})


def refusal(needed: float, here: float, batch_size: int) -> str:
    """Why a run that needs so much memory cannot start where there is so much; empty where it can."""
    if needed + SPARE_MB <= here:
        return ""
    what = "a smaller batch or a lighter method" if batch_size > 1 else "a lighter method or a smaller model"
    return f"This run needs about {needed:,.0f} MB at its highest and there are {here:,.0f} MB here: choose {what}."
