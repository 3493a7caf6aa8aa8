"""The lab's own loop against TRL's SFTTrainer: the same losses on the same rows in the same order."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments import methods
from experiments.catalog import tasks
from experiments.engine import data
from experiments.engine.models import fresh
from experiments.engine.randomness import RandomState
from experiments.specs import RunSpec
from tests.engine.conftest import FEW, losses, run_spec
from tests.engine.test_training import run


def for_trl(row: tasks.Row, chat: bool) -> dict[str, Any]:
    if not chat:
        return {"prompt": row.prompt + "\n", "completion": row.completion}
    turns = {"prompt": ("user", row.prompt), "completion": ("assistant", row.completion)}
    return {part: [{"role": role, "content": text}] for part, (role, text) in turns.items()}


def started(base, spec: RunSpec) -> Any:
    """The model of a run before its first step, for another trainer: full fine-tuning has weights of its own, no base's."""
    with RandomState(spec.seed):
        model = methods.find(spec.method).attach(fresh(base), spec.settings, base.tokenizer)
    if spec.method == "full":
        model.load_state_dict({name: tensor.clone() for name, tensor in model.state_dict().items()}, assign=True)
        model.tie_weights()
        model.requires_grad_(True)
    return model


def trl_losses(base, spec: RunSpec, folder: Path) -> list[float]:
    """Per-step losses of TRL's SFTTrainer from the same start, on the same rows in the same order, from its own compute_loss."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    train = FEW.split(None).train
    ordered = [
        train[i]
        for step in data.order(len(train), spec.train.batch_size, spec.train.steps * spec.train.accumulate, spec.seed)
        for i in step
    ]
    dataset = Dataset.from_list([for_trl(row, base.tokenizer.chat_template is not None) for row in ordered])
    found: list[float] = []

    class Listening(SFTTrainer):
        def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
            loss = super().compute_loss(*args, **kwargs)
            found.append(float((loss[0] if isinstance(loss, tuple) else loss).detach()))
            return loss

    config = SFTConfig(
        output_dir=str(folder), max_steps=spec.train.steps, per_device_train_batch_size=spec.train.batch_size,
        learning_rate=spec.train.learning_rate, warmup_steps=spec.train.warmup, weight_decay=spec.train.weight_decay,
        lr_scheduler_type={"constant": "constant_with_warmup"}.get(spec.train.schedule, spec.train.schedule),
        max_grad_norm=spec.train.clip, gradient_accumulation_steps=spec.train.accumulate,
        optim="adamw_torch", completion_only_loss=True, max_length=None, train_sampling_strategy="sequential", bf16=False,
        gradient_checkpointing=False, use_cpu=True, report_to="none", save_strategy="no", disable_tqdm=True, seed=spec.seed,
    )  # fmt: skip
    Listening(model=started(base, spec), args=config, train_dataset=dataset, processing_class=base.tokenizer).train()
    return found


@pytest.mark.parametrize(
    ("method", "rate", "settings"),
    [("lora", 1e-2, {"targets": "all-linear"}), ("lora", 1e-2, {"targets": "q_proj,v_proj"}), ("full", 1e-3, {})],
    ids=["lora-all-linear", "lora-q-v", "full"],
)
def test_losses_equal_trls(method, rate, settings, base, tmp_path):
    spec = run_spec(method, steps=8, rate=rate, **settings)
    ours = losses(run(spec, base, tmp_path / "adapter"))
    reference = trl_losses(base, spec, tmp_path / "trl")
    assert len(ours) == len(reference) == 8
    assert ours == pytest.approx(reference, abs=1e-4)
    assert max(ours) - min(ours) > 0.05  # it did train


def test_losses_equal_trls_without_a_chat_template(base, tmp_path):
    """A base model: prompt, newline, completion, end of text."""
    tokenizer = copy.deepcopy(base.tokenizer)
    tokenizer.chat_template = None
    plain, spec = replace(base, tokenizer=tokenizer), run_spec("lora", steps=3, rate=1e-2)
    reference = trl_losses(plain, spec, tmp_path / "trl")
    assert losses(run(spec, plain, tmp_path / "adapter")) == pytest.approx(reference, abs=1e-4)
