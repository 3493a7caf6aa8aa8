"""A sweep of nine cells: the lab's, and as peers run it, nine trainings by TRL's SFTTrainer, on the same rows in the same order.

Each TRL cell loads the model, tokenizes the task and trains, as a script called nine times does (its imports not counted). The
lab loads and tokenizes once, reads the frozen blocks once a row, and with halving stops hopeless cells early; its looks at
the held-out rows, which the peer does not have, are counted. Both start from the same adapters, so the losses can be compared.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from experiments import methods, sweeps
from experiments.catalog import models, tasks
from experiments.engine import data, evaluation
from experiments.engine.models import Base, load, prepare
from experiments.engine.prefix import Kept
from experiments.engine.randomness import RandomState
from experiments.engine.trial import Trial, begin
from experiments.specs import RunSpec
from experiments.sweeps import halving

RANKS, ALPHAS = (2, 8, 32), (4, 16, 64)
STEPS = 40


@dataclass
class Swept:
    """What a sweep took, the training losses of each cell as far as it went, and the held-out loss at its end."""

    seconds: float
    losses: dict[str, list[float]]
    held_out: dict[str, float]

    @property
    def winner(self) -> str:
        return min(self.held_out, key=lambda run: self.held_out[run])


def measure(quick: bool) -> list[str]:
    """Markdown: two models against TRL, what each of the means gave, and growth."""
    lines = ["## A sweep of rank × alpha, nine cells of 40 steps of 4 rows", ""]
    lines += [
        "| model, what is adapted | nine TRL trainings, s | ours, s | TRL / ours | halved, s | TRL / halved | same winner |"
    ]
    lines += ["|---|---|---|---|---|---|---|"]
    notes = []
    for key, task, layers, peers in (
        ("smollm2-135m", "pirate", "last 6", 1 if quick else 3),
        ("lab-nano", "storyteller", "all", 3),
    ):
        row, note = compare(key, task, layers, peers, 8 if quick else STEPS)
        lines.append(row)
        notes.append(note)
    return [*lines, "", *notes, "", *growth(quick)]


def cells(
    key: str, task: str, layers: str, steps: int, ranks: Sequence[int] = RANKS, alphas: Sequence[int] = ALPHAS
) -> list[RunSpec]:
    settings = {"layers": layers, "targets": "q_proj,v_proj"}
    train = {"steps": steps, "batch_size": 4, "learning_rate": 1e-3, "looks": 8}
    base = {"model": key, "task": task, "method": "lora", "settings": settings, "train": train}
    spec = sweeps.build({"base": base, "axes": {"rank": list(ranks), "alpha": list(alphas)}, "seeds": [0]})
    return list(sweeps.expand(spec).specs)


def compare(key: str, task_key: str, layers: str, peers: int, steps: int) -> tuple[str, str]:
    """One line of the table and a sentence on the means."""
    specs, task = cells(key, task_key, layers, steps), tasks.find(task_key)
    entry = models.find(key)
    folder = prepare(entry, models.weights_of(entry))
    task.split(None)
    base = load(folder, key, "benchmark")
    ours, trl, losses, share = [], [], {}, -(-len(specs) // peers)
    for i in range(0, len(specs), share):  # in turn, so that a machine that slows down slows both
        began = time.perf_counter()
        losses[specs[i].run_id] = trl_cell(folder, task, specs[i])
        trl.append(time.perf_counter() - began)
        ours.append(our_sweep(folder, task, specs[i : i + share], base if ours else None))
    seconds = sum(s.seconds for s in ours)
    halved = our_sweep(folder, task, specs, None, prune=True)
    whole = our_sweep(folder, task, specs[:1], base, kept=Kept(0))  # without what is known of the frozen blocks
    again = our_sweep(folder, task, specs[:1], base)
    gap = max(
        abs(a - b)
        for s in ours
        for run in losses.keys() & s.losses.keys()
        for a, b in zip(losses[run], s.losses[run], strict=True)
    )
    held_out = {run: loss for s in ours for run, loss in s.held_out.items()}
    nine, same = 9 * statistics.median(trl), min(held_out, key=held_out.__getitem__) == halved.winner
    row = (
        f"| {entry.title}, {layers} layers | {nine:.1f} ({peers} measured, median × 9) | {seconds:.1f} | **{nine / seconds:.1f}** | "
        f"{halved.seconds:.1f} | **{nine / halved.seconds:.1f}** | {'yes' if same else 'no'} |"
    )
    note = (
        f"- {entry.title}, {layers} layers: training losses differ from TRL's by at most {gap:.1e}. A cell with the frozen blocks run each "
        f"time {whole.seconds:.1f} s, known from other cells {again.seconds:.1f} s."
    )
    return row, note


def our_sweep(
    folder: Path,
    task: tasks.Task,
    specs: Sequence[RunSpec],
    base: Base | None,
    prune: bool = False,
    kept: Kept | None = None,
) -> Swept:
    """The cells as the lab trains them in one warm worker; loads the model where none is given."""
    began = time.perf_counter()
    base = base or load(folder, "any", "benchmark")
    if kept is not None:
        base = replace(base, kept=kept)
    rows = [data.encode(base.tokenizer, row, task.max_length) for row in task.split(None).train]
    trials = {spec.run_id: (spec, *_begun(spec, base)) for spec in specs}
    losses: dict[str, list[float]] = {run: [] for run in trials}
    stops = halving.rungs(specs[0].train) if prune else []
    done = 0
    for stop in [*stops, specs[0].train.steps]:
        held_out = {}
        for run, (spec, trial, state) in trials.items():
            losses[run] += _steps(spec, trial, state, rows, done, stop)
            with trial.at_rest() as model:
                held_out[run] = evaluation.look(model, base, task, stop, lambda: None).held_out_loss
        done = stop
        if stop in stops:
            gone = halving.hopeless(held_out, [])
            trials = {run: rest for run, rest in trials.items() if run not in gone}
    return Swept(time.perf_counter() - began, losses, {run: held_out[run] or 0.0 for run in trials})


def _begun(spec: RunSpec, base: Base) -> tuple[Trial, RandomState]:
    state = RandomState(spec.seed)
    with state:
        return begin(spec, base), state


def _steps(
    spec: RunSpec, trial: Trial, state: RandomState, rows: list[data.Example], first: int, last: int
) -> list[float]:
    """The steps after `first` up to `last`, as `training.run` takes them; their losses."""
    order = list(data.order(len(rows), spec.train.batch_size, last, spec.seed))[first:]
    found = []
    for batch in order:
        with state:
            loss, _ = trial.backward([rows[i] for i in batch])
            trial.update()
        found.append(loss or 0.0)
    return found


def trl_cell(folder: Path, task: tasks.Task, spec: RunSpec) -> list[float]:
    """One cell as a script with TRL trains it; the losses of its steps."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    class InOrder(SFTTrainer):
        def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    base = load(folder, "any", "benchmark")
    train = task.split(None).train
    order = data.order(len(train), spec.train.batch_size, spec.train.steps, spec.seed)
    examples = [data.encode(base.tokenizer, row, task.max_length) for row in train]
    rows = [
        {"input_ids": list(e.ids), "labels": [-100] * e.start + list(e.ids[e.start :])}
        for batch in order for e in (examples[i] for i in batch)
    ]  # fmt: skip
    with RandomState(spec.seed):
        model = methods.find("lora").attach(base.model, spec.settings, base.tokenizer)
    with tempfile.TemporaryDirectory() as out:
        config = SFTConfig(
            output_dir=out, per_device_train_batch_size=spec.train.batch_size, max_steps=spec.train.steps,
            learning_rate=spec.train.learning_rate, weight_decay=0.0, lr_scheduler_type="constant", report_to="none",
            logging_steps=1, save_strategy="no", gradient_checkpointing=False, bf16=False, use_cpu=base.device.type == "cpu",
            disable_tqdm=True, max_length=None, dataset_kwargs={"skip_prepare_dataset": True}, remove_unused_columns=False,
        )  # fmt: skip
        trainer = InOrder(
            model=model, args=config, train_dataset=Dataset.from_list(rows), processing_class=base.tokenizer
        )
        trainer.train()
    return [line["loss"] for line in trainer.state.log_history if "loss" in line]


def growth(quick: bool) -> list[str]:
    """Seconds a cell for 9, 36 and 144 cells of ten steps on the bundled model, its top layers adapted, one worker."""
    entry = models.MODELS[0]
    folder, task = prepare(entry, models.weights_of(entry)), tasks.TASKS[0]
    lines = ["| cells of 10 steps, the bundled model's last 2 layers | seconds | a cell |", "|---|---|---|"]
    for side in (3, 6) if quick else (3, 6, 12):
        ranks = [1, 2, 4, 8, 16, 32, 3, 6, 12, 24, 5, 10][:side]
        specs = cells(entry.key, task.key, "last 2", 10, ranks, [2 * i + 2 for i in range(side)])
        taken = our_sweep(folder, task, specs, None).seconds
        lines.append(f"| {len(specs)} | {taken:.1f} | {taken / len(specs):.3f} |")
    return lines
