"""One training step: the lab's, a bare PyTorch + PEFT loop's, and TRL's trainer's, on the same rows in the same order.

The three take turns of a few steps each, so that a machine that slows down slows all of them; the ratio is taken within
each round and its median is reported. Every step reads the batch, goes forward and backward, clips and updates.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from experiments.catalog import models, tasks
from experiments.engine import data
from experiments.engine.joining import joined
from experiments.engine.models import Base, Bases, fresh
from experiments.engine.trial import Trial, begin
from experiments.specs import RunSpec

BATCH = 4
STEPS_A_TURN = 4
TARGETS = ("q_proj", "v_proj")
Step = Callable[[list[data.Example]], None]


@dataclass
class Case:
    """A model and the rows it is trained on; `flops` a step as multiply-adds of the matrices, times two."""

    title: str
    base: Base
    rows: list[data.Example]


def measure(quick: bool) -> list[str]:
    """A Markdown table: both models, three peers."""
    lines = [
        "## A LoRA step (rank 8 on q and v)",
        "",
        f"Matrix products here: {matrix_gflops():.0f} GFLOP/s in float32 on {torch.get_num_threads()} threads.",
        "",
        "| model | rows × tokens | ours, s | steps/s | bare loop, s | TRL, s | ours / bare | TRL / ours | tokens/s "
        "| of matrix speed | peak MB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for case in cases():
        lines.append(compare(case, rounds=3 if quick else 11))
    return lines


def cases() -> Iterator[Case]:
    entry = models.find("smollm2-135m")
    real = Bases().get(entry.key, models.weights_of(entry))
    task = tasks.find("pirate")
    yield Case(
        "SmolLM2 135M, pirate", real, [data.encode(real.tokenizer, r, task.max_length) for r in task.split().train]
    )
    entry = models.MODELS[0]
    small = Bases().get(entry.key, models.weights_of(entry))
    task = tasks.find("storyteller")
    rows = [data.encode(small.tokenizer, r, task.max_length) for r in task.split().train]
    yield Case(f"{entry.title} {small.total / 1e6:.1f}M, {task.key}", small, rows)


def compare(case: Case, rounds: int) -> str:
    """One line of the table."""
    order = [
        [case.rows[i] for i in rows] for rows in data.order(len(case.rows), BATCH, STEPS_A_TURN * (rounds + 1), seed=0)
    ]
    trial = begin(_spec(), case.base)
    taken = race(case.base, order, {"ours": our_step(trial), "bare": bare_step(case.base)})
    ratio = {n: statistics.median(a / b for a, b in zip(taken[n], taken["ours"], strict=True)) for n in taken}
    ours = statistics.median(taken["ours"])
    tokens = statistics.mean(sum(len(e.ids) for e in rows) for rows in order)
    share = flops(case.base, order) / ours / 1e9 / matrix_gflops()
    peak = trial.meter.peak_mb(case.base.resting_mb)
    return (
        f"| {case.title} | {BATCH} × {tokens / BATCH:.0f} | {ours:.3f} | {1 / ours:.1f} | {statistics.median(taken['bare']):.3f} | "
        f"{statistics.median(taken['trl']):.3f} | **{1 / ratio['bare']:.2f}** | **{ratio['trl']:.2f}** | {tokens / ours:,.0f} | "
        f"{share:.0%} | {peak:,.0f} |"
    )


def _spec() -> RunSpec:
    settings = {"rank": 8, "alpha": 16, "targets": TARGETS}
    return RunSpec.model_validate({"model": "any", "task": "pirate", "method": "lora", "settings": settings})


def our_step(trial: Trial) -> Step:
    def step(rows: list[data.Example]) -> None:
        trial.backward(rows)
        trial.update()

    return step


def _bare_model(base: Base) -> Any:
    config = LoraConfig(task_type="CAUSAL_LM", r=8, lora_alpha=16, target_modules=list(TARGETS))
    return get_peft_model(fresh(base), config)


def bare_step(base: Base) -> Step:
    """What one writes by hand: labels of -100, the model's own loss, clip, AdamW."""
    model = _bare_model(base).train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3, weight_decay=0.0)

    def step(rows: list[data.Example]) -> None:
        batch = data.collate(rows, base.tokenizer.pad_token_id, base.device)
        labels_BT = batch.ids_BT.masked_fill(~batch.learn_BT, -100)
        model(input_ids=batch.ids_BT, attention_mask=batch.mask_BT, labels=labels_BT, use_cache=False).loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def race(base: Base, order: list[list[data.Example]], peers: dict[str, Step]) -> dict[str, list[float]]:
    """Seconds a step, turn after turn, of each peer and of "trl", without the first turn, which warms up.

    TRL's SFTTrainer drives: before each of its own turns the others take theirs, all in one thread.
    """
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    taken: dict[str, list[float]] = {name: [] for name in (*peers, "trl")}

    class Turns(TrainerCallback):
        began = 0.0

        def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % STEPS_A_TURN:
                return
            for name, step in peers.items():
                self.began = time.perf_counter()
                for rows in order[state.global_step : state.global_step + STEPS_A_TURN]:
                    step(rows)
                self.note(name)
            self.began = time.perf_counter()

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % STEPS_A_TURN == 0:
                self.note("trl")

        def note(self, name: str) -> None:
            taken[name].append((time.perf_counter() - self.began) / STEPS_A_TURN)

    class InOrder(SFTTrainer):
        def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
            return torch.utils.data.SequentialSampler(self.train_dataset)

    rows = [{"input_ids": list(e.ids), "labels": [-100] * e.start + list(e.ids[e.start :])} for b in order for e in b]
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(
            output_dir=folder, per_device_train_batch_size=BATCH, max_steps=len(order), learning_rate=1e-3, weight_decay=0.0,
            lr_scheduler_type="constant", completion_only_loss=True, report_to="none", logging_strategy="no",
            save_strategy="no", gradient_checkpointing=False, bf16=False, use_cpu=base.device.type == "cpu", disable_tqdm=True,
            max_length=None, dataset_kwargs={"skip_prepare_dataset": True}, remove_unused_columns=False,
        )  # fmt: skip
        trainer = InOrder(
            model=_bare_model(base), args=config, train_dataset=Dataset.from_list(rows), processing_class=base.tokenizer,
            callbacks=[Turns()],
        )  # fmt: skip
        trainer.train()
    return {name: seconds[1:] for name, seconds in taken.items()}


def flops(base: Base, order: list[list[data.Example]]) -> float:
    """Floating-point operations of our LoRA step: forward and the gradient of the activations through every matrix, rows joined.

    4 a weight and token; the head only at learnt tokens; attention scores and the adapters themselves (< 3 %) left out.
    """
    head = base.model.get_output_embeddings().weight.numel()
    body = (
        sum(p.numel() for n, p in base.model.named_parameters() if p.dim() == 2)
        - base.model.get_input_embeddings().weight.numel()
    )
    if not base.model.config.tie_word_embeddings:
        body -= head
    batches = [joined(base.model, data.collate(rows, base.tokenizer.pad_token_id, base.device)) for rows in order]
    tokens = sum(batch.ids_BT.numel() for batch in batches) / len(order)
    learnt = sum(len(e.ids) - e.start for rows in order for e in rows) / len(order)
    return 4.0 * (body * tokens + head * learnt)


def matrix_gflops(size: int = 1024, rounds: int = 8) -> float:
    """This machine's own speed at one square float32 matrix product, the best of some."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best / 1e9
