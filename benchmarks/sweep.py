"""A sweep of nine cells: the lab's, and as peers run it, nine trainings by TRL's SFTTrainer, on the same rows in the same order.

Each TRL cell loads the model, tokenizes the task and trains, as a script called nine times does (its imports not counted). The
lab's warm workers, as many as it measures to be fastest here, load and tokenize once each, read the frozen blocks once a row, and with
halving stop hopeless cells early; its looks at the held-out rows, which the peer does not have, are counted. Both start from the same
adapters, so the losses can be compared.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from experiments import fitting, methods, pool, sweeps
from experiments.catalog import models, tasks
from experiments.engine import data, evaluation
from experiments.engine.kept import Kept
from experiments.engine.models import Base, load, prepare
from experiments.engine.randomness import RandomState
from experiments.engine.trial import Trial, begin
from experiments.specs import RunSpec
from experiments.store import Store
from experiments.sweeps import halving

RANKS, ALPHAS = (2, 8, 32), (4, 16, 64)
STEPS = 40
Begun = tuple[RunSpec, Trial, RandomState]
PEERS = 3  # TRL trainings that are measured: before, between and after our two sweeps


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
    for key, task, layers in (("smollm2-135m", "pirate", "last 6"), ("lab-nano", "storyteller", "all")):
        row, note = compare(key, task, layers, 8 if quick else STEPS)
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


def compare(key: str, task_key: str, layers: str, steps: int) -> tuple[str, str]:
    """One line of the table and a sentence on the means."""
    specs, task = cells(key, task_key, layers, steps), tasks.find(task_key)
    entry = models.find(key)
    folder = prepare(entry, models.weights_of(entry))
    task.split(None)
    trl, losses = [], {}
    with workers(specs, task) as team:
        swept = []
        for i in range(PEERS):  # in turn with ours: a machine that slows down slows all
            spec = specs[i * len(specs) // PEERS]
            began = time.perf_counter()
            losses[spec.run_id] = trl_cell(folder, task, spec)
            trl.append(time.perf_counter() - began)
            if i < PEERS - 1:
                swept.append(our_sweep(folder, team, specs, prune=i > 0))
        whole, halved = swept
    base = load(folder, key, "benchmark")
    known, unknown = (_one(base, task, specs[0], kept) for kept in (base.kept, Kept(0)))
    gap = max(abs(a - b) for run in losses for a, b in zip(losses[run], whole.losses[run], strict=True))
    nine, same = 9 * statistics.median(trl), whole.winner == halved.winner
    row = (
        f"| {entry.title}, {layers} layers | {nine:.1f} ({PEERS} measured, median × 9) | {whole.seconds:.1f} | "
        f"**{nine / whole.seconds:.1f}** | {halved.seconds:.1f} | **{nine / halved.seconds:.1f}** | {'yes' if same else 'no'} |"
    )
    threads, took = fitting.cores() // len(team), ", ".join(f"{seconds:.1f}" for seconds in trl)
    note = (
        f"- {entry.title}, {layers} layers: workers {len(team)}, threads each {threads}; the TRL trainings took {took} s. Training losses "
        f"differ from TRL's by at most {gap:.1e}. A cell with the frozen blocks run each time {unknown:.1f} s, known from other cells "
        f"{known:.1f} s."
    )
    return row, note


@contextmanager
def workers(specs: Sequence[RunSpec], task: tasks.Task) -> Iterator[list[ProcessPoolExecutor]]:
    """Warm processes, as many and with as many threads each as the lab's own measurement says for these runs; no model is loaded yet."""
    specs = [spec.model_copy(update={"weights": models.weights_of(models.find(spec.model))}) for spec in specs]
    with tempfile.TemporaryDirectory() as home:
        found = pool.fastest(Path(home), Store(Path(home) / "lab.sqlite"), specs, measure=True)
        for worker in found:
            worker.close()
    with ExitStack() as stack:
        start = partial(
            ProcessPoolExecutor, 1, get_context("spawn"), _prepare, (task.key, fitting.cores() // len(found))
        )
        team = [stack.enter_context(start()) for _ in found]
        for worker in team:
            worker.submit(_losses_of, [], 0, 0).result()
        yield team


def our_sweep(
    folder: Path, team: Sequence[ProcessPoolExecutor], specs: Sequence[RunSpec], prune: bool = False
) -> Swept:
    """The cells as the lab trains them: each worker loads the model once and has every so manieth of them."""
    began = time.perf_counter()
    hands = {spec.run_id: team[i % len(team)] for i, spec in enumerate(specs)}

    def each(what: Callable[..., Any], left: Mapping[str, Any], *more: Any) -> list[Any]:
        asked = [w.submit(what, [run for run in left if hands[run] is w], *more) for w in team]
        return [one.result() for one in asked]

    losses: dict[str, list[float]] = {run: [] for run in hands}
    held_out = dict.fromkeys(hands, 0.0)
    stops = halving.rungs(specs[0].train) if prune else []
    done = 0
    with tempfile.TemporaryDirectory() as known:  # nobody has read the frozen blocks yet
        each(_begin, hands, {spec.run_id: spec for spec in specs}, folder, Path(known))
        for stop in [*stops, specs[0].train.steps]:
            seen = {run: found for part in each(_losses_of, held_out, done, stop) for run, found in part.items()}
            for run, (more, _) in seen.items():
                losses[run] += more
            held_out = {run: loss for run, (_, loss) in seen.items()}
            done = stop
            if stop in stops:
                gone = halving.hopeless(held_out, [])
                held_out = {run: loss for run, loss in held_out.items() if run not in gone}
    return Swept(time.perf_counter() - began, losses, held_out)


_here: dict[str, Any] = {}
"""What a worker process holds: the task, its rows as tokens, the base, and what has begun of each run."""


def _prepare(task: str, threads: int) -> None:
    torch.set_num_threads(threads)
    _here["task"] = tasks.find(task)
    _here["task"].split(None)


def _begin(runs: Sequence[str], specs: Mapping[str, RunSpec], folder: Path, known: Path) -> None:
    base, task = replace(load(folder, "any", "benchmark"), kept=Kept(folder=known)), _here["task"]
    rows = [data.encode(base.tokenizer, row, task.max_length) for row in task.split(None).train]
    _here.update(base=base, rows=rows, runs={run: _begun(specs[run], base) for run in runs})


def _losses_of(runs: Sequence[str], done: int, stop: int) -> dict[str, tuple[list[float], float]]:
    """The losses of the steps after `done` up to `stop`, and the held-out loss then."""
    return {run: _advance(_here["base"], _here["task"], _here["rows"], _here["runs"][run], done, stop) for run in runs}


def _advance(
    base: Base, task: tasks.Task, rows: list[data.Example], run: Begun, done: int, stop: int
) -> tuple[list[float], float]:
    losses = _steps(*run, rows, done, stop)
    with run[1].at_rest() as model:
        return losses, evaluation.look(model, base, task, stop, lambda: None).held_out_loss or 0.0


def _one(base: Base, task: tasks.Task, spec: RunSpec, kept: Kept) -> float:
    """Seconds of a cell after another one, with what is kept of the frozen blocks."""
    base = replace(base, kept=kept)
    rows = [data.encode(base.tokenizer, row, task.max_length) for row in task.split(None).train]
    for _ in range(2):
        began = time.perf_counter()
        _advance(base, task, rows, _begun(spec, base), 0, spec.train.steps)
    return time.perf_counter() - began


def _begun(spec: RunSpec, base: Base) -> Begun:
    state = RandomState(spec.seed)
    with state:
        return spec, begin(spec, base), state


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
    """Seconds a cell for 9, 36 and 144 cells of ten steps on the bundled model, its top layers adapted."""
    entry = models.MODELS[0]
    folder, task = prepare(entry, models.weights_of(entry)), tasks.TASKS[0]
    lines = ["| cells of 10 steps, the bundled model's last 2 layers | seconds | a cell |", "|---|---|---|"]
    for side in (3, 6) if quick else (3, 6, 12):
        ranks = [1, 2, 4, 8, 16, 32, 3, 6, 12, 24, 5, 10][:side]
        specs = cells(entry.key, task.key, "last 2", 10, ranks, [2 * i + 2 for i in range(side)])
        with workers(specs, task) as team:
            taken = our_sweep(folder, team, specs).seconds
        lines.append(f"| {len(specs)} | {taken:.1f} | {taken / len(specs):.3f} |")
    return lines
