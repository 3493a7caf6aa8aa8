"""TRL's trainers for the objectives: what of a task each is given, and how. Nothing of them is changed.

The lab gives the model with its method, the optimizer and the schedule, so that rates, groups and order are those of its own loop.
The reference of DPO and KTO is a second module tree over the same weights in memory: what switching an adapter off gives, for
every method, full fine-tuning too.
"""

from __future__ import annotations

import copy
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import islice
from typing import Any

os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")

import datasets
import torch
from packaging.version import Version
from peft import PeftModel
from transformers import PrinterCallback

from experiments import methods, objectives, templates
from experiments.catalog import tasks
from experiments.catalog.tasks.base import Pair, Row, Thumb
from experiments.engine import data, paying
from experiments.engine.generation import virtual_tokens
from experiments.engine.models import Base, fresh
from experiments.engine.trial import Trial, times_at
from experiments.specs import RunSpec
from experiments.templates import CHAT

datasets.disable_progress_bars()
warnings.filterwarnings(
    "ignore", "`gradient_checkpointing` is deprecated", FutureWarning
)  # TRL's configurations know that name
logging.getLogger("trl").setLevel(logging.ERROR)  # its advice is for scripts; what goes wrong is raised
LEAST_TRL = Version("1.15")


@dataclass(frozen=True)
class Order:
    """What a trainer is asked for: the run, what it trains, the task, the models of finished runs that the spec names, and the steps
    that are done already."""

    spec: RunSpec
    base: Base
    task: tasks.Task
    trial: Trial
    tuned: Callable[[str], Any]
    folder: str
    done: int = 0

    @property
    def micro_batches(self) -> int:
        return self.spec.train.steps * self.spec.train.accumulate

    def reference(self) -> Any:
        """Where the run starts from, as a tree of its own over the base's weights."""
        return fresh_tuned(self.tuned(self.spec.after)) if self.spec.after else prepared(self.base, self.spec)

    def batches(self, rows: int, size: int) -> Iterator[list[int]]:
        """Which rows each batch that is left reads: the order of the lab's own loop."""
        order = data.order(rows, size, self.micro_batches, self.spec.seed)
        return islice(order, self.done * self.spec.train.accumulate, None)


def build(order: Order, callback: Any) -> Any:
    """A trainer that is ready to `train()`. Raises what TRL raises for what it cannot train."""
    objective = objectives.find(order.spec.objective)
    _require_trl(order)
    trainer = BUILDERS[objective.trainer](order, callback)
    trainer.remove_callback(PrinterCallback)
    return trainer


def prepared(base: Base, spec: RunSpec) -> Any:
    """The base once more, as a tree of its own, prepared (packed) as the run's is: nothing in memory but the modules, or that."""
    tree, prepare = fresh(base), methods.find(spec.method).prepare
    if prepare:
        prepare(tree, spec.settings)
    return tree


def fresh_tuned(model: Any) -> Any:
    """A tuned model as a tree of its own over the same numbers: a trainer puts a head of its own on it. Raises `ValueError` for a
    soft prompt, which stands outside of the tree."""
    whole = copy.deepcopy(model, {id(t): t for t in (*model.parameters(), *model.buffers())})
    if not isinstance(whole, PeftModel):
        return whole
    if whole.active_peft_config.is_prompt_learning:
        raise ValueError(
            "A run with virtual tokens cannot be what another one is held against: begin with one of LoRA or full."
        )
    return whole.get_base_model()


def _parts(order: Order, callback: Any) -> dict[str, Any]:
    """What every trainer is given beside its arguments and rows."""
    trial, spec, done = order.trial, order.spec, order.done
    assert trial.optimizer is not None
    schedule = torch.optim.lr_scheduler.LambdaLR(
        trial.optimizer, lambda step: times_at(spec, min(done + step + 1, spec.train.steps))
    )
    return {
        "model": trial.model,
        "processing_class": copy.deepcopy(order.base.tokenizer),  # trainers set its padding
        "optimizers": (trial.optimizer, schedule),
        "callbacks": [callback],
    }


def _common(order: Order) -> dict[str, Any]:
    """The arguments that all configurations share."""
    train = order.spec.train
    return {
        "output_dir": order.folder, "max_steps": train.steps - order.done, "learning_rate": train.learning_rate,
        "per_device_train_batch_size": train.batch_size, "gradient_accumulation_steps": train.accumulate,
        "max_grad_norm": train.clip, "seed": order.spec.seed, "logging_steps": 1, "logging_nan_inf_filter": False,
        "save_strategy": "no", "report_to": "none", "disable_tqdm": True, "bf16": False, "gradient_checkpointing": False,
        "use_cpu": not torch.cuda.is_available(), "dataloader_pin_memory": False,
    }  # fmt: skip


def _texts(order: Order, row: Row) -> tuple[Any, Callable[[str], Any]]:
    """A row's prompt, and how an answer to it is written: turns of a conversation where the template is the model's own."""
    if order.task.template == CHAT and order.base.tokenizer.chat_template:
        return [dict(turn) for turn in templates.turns(row)], lambda said: [{"role": "assistant", "content": said}]
    codec = data.codec(order.base.tokenizer)
    prompt, rest = templates.halves(codec, row, order.task.template)
    tail = rest[len(row.completion) :]
    return prompt, lambda said: said + tail


def _readable(order: Order, whole: bool = False) -> list[Row]:
    """The training rows of whose answers something is left within the task's length, so that no trainer drops one on its way; `whole`:
    all of them is. Raises `ValueError` where there is none."""
    tokenizer, task = order.base.tokenizer, order.task

    def is_readable(row: Row) -> bool:
        sides = [row, replace(row, completion=row.rejected)] if isinstance(row, Pair) else [row]
        found = [data.encode(tokenizer, side, task.max_length, task.template) for side in sides]
        return all(e.start < len(e.ids) and not (whole and e.cut) for e in found)

    rows = [row for row in task.split(None).train if is_readable(row)]
    if not rows:
        what = "is longer than" if whole else "has a prompt that alone fills"
        raise ValueError(f"Every row {what} {task.max_length:,} tokens: raise the longest row, or bring shorter ones.")
    return rows


def _in_order(order: Order, rows: Sequence[Any], shown: Callable[[Any], dict[str, Any]], size: int) -> datasets.Dataset:
    """The rows as the steps read them, one after the other; trainers go through them as they stand."""
    known = [shown(row) for row in rows]
    return datasets.Dataset.from_list([known[i] for batch in order.batches(len(rows), size) for i in batch])


def _sft(order: Order, callback: Any) -> Any:
    from trl import SFTConfig, SFTTrainer

    def shown(row: Row) -> dict[str, Any]:
        prompt, said = _texts(order, row)
        return {"prompt": prompt, "completion": said(row.completion)}

    args = SFTConfig(
        **_common(order),
        completion_only_loss=True,
        max_length=order.task.max_length,
        train_sampling_strategy="sequential",
    )
    rows = _in_order(order, order.task.split(None).train, shown, order.spec.train.batch_size)
    return SFTTrainer(args=args, train_dataset=rows, **_parts(order, callback))


def _pairs(order: Order, whole: bool = False) -> datasets.Dataset:
    def shown(row: Row) -> dict[str, Any]:
        assert isinstance(row, Pair)
        prompt, said = _texts(order, row)
        return {"prompt": prompt, "chosen": said(row.completion), "rejected": said(row.rejected)}

    return _in_order(order, _readable(order, whole), shown, order.spec.train.batch_size)


def _dpo(order: Order, callback: Any) -> Any:
    from trl import DPOConfig, DPOTrainer

    goal: Any = order.spec.goal
    args = DPOConfig(
        **_common(order), beta=goal.beta, loss_type=[goal.loss], disable_dropout=False, max_length=order.task.max_length,
        train_sampling_strategy="sequential",
    )  # fmt: skip
    return DPOTrainer(ref_model=order.reference(), args=args, train_dataset=_pairs(order), **_parts(order, callback))


def _thumbs(row: Row) -> tuple[Thumb, ...]:
    """An answer with its thumb; of a pair the better one with a thumb up, the worse one with a thumb down."""
    if isinstance(row, Thumb):
        return (row,)
    assert isinstance(row, Pair)
    return tuple(
        Thumb(row.prompt, said, before=row.before, fields=row.fields, is_good=is_good)
        for said, is_good in ((row.completion, True), (row.rejected, False))
    )


def _kto(order: Order, callback: Any) -> Any:
    from trl import KTOConfig, KTOTrainer

    goal: Any = order.spec.goal
    thumbs = [thumb for row in _readable(order) for thumb in _thumbs(row)]

    def shown(thumb: Thumb) -> dict[str, Any]:
        prompt, said = _texts(order, thumb)
        return {"prompt": prompt, "completion": said(thumb.completion), "label": thumb.is_good}

    args = KTOConfig(
        **_common(order), beta=goal.beta, desirable_weight=goal.desirable_weight, undesirable_weight=goal.undesirable_weight,
        disable_dropout=False, max_length=order.task.max_length, train_sampling_strategy="sequential",
    )  # fmt: skip
    rows = _in_order(order, thumbs, shown, order.spec.train.batch_size)
    return KTOTrainer(ref_model=order.reference(), args=args, train_dataset=rows, **_parts(order, callback))


def _reward(order: Order, callback: Any) -> Any:
    from trl import RewardConfig, RewardTrainer

    goal: Any = order.spec.goal
    args = RewardConfig(
        **_common(order), center_rewards_coefficient=goal.center or None, disable_dropout=False, max_length=None,
        train_sampling_strategy="sequential",
    )  # fmt: skip
    rows = _pairs(order, whole=True)  # a judge reads all of an answer
    return RewardTrainer(args=args, train_dataset=rows, **_parts(order, callback))


def _grpo(order: Order, callback: Any) -> Any:
    from trl import GRPOConfig, GRPOTrainer
    from trl.trainer import utils

    goal: Any = order.spec.goal
    size = order.spec.train.batch_size

    def shown(row: Row) -> dict[str, Any]:
        return {"prompt": _texts(order, row)[0], "asked": row.prompt, "facts": list(row.facts)}

    args = GRPOConfig(
        **{**_common(order), "per_device_train_batch_size": size * goal.group}, num_generations=goal.group, beta=0.0,
        temperature=goal.temperature, max_completion_length=order.task.max_new_tokens, loss_type="grpo", shuffle_dataset=False,
    )  # fmt: skip
    pay = paying.payments(order)
    functions: list[Any] = list(pay)
    rows = _in_order(order, order.task.split(None).train, shown, size)
    trainer = GRPOTrainer(reward_funcs=functions, args=args, train_dataset=rows, **_parts(order, callback))
    trainer.reward_weights = torch.tensor(list(pay.values()), dtype=torch.float32)
    if goal.beta:  # given to its constructor, a copy of the adapter would be made and be saved with it
        trainer.beta, trainer.ref_model = goal.beta, order.reference().eval()
        if hasattr(utils, "add_fused_lm_head"):  # TRL 1.14, the last for Python 3.10, scores all words at once
            utils.add_fused_lm_head(trainer.ref_model, temperature=goal.temperature)
    return trainer


def _require_trl(order: Order) -> None:
    """Raise `ValueError` for what TRL 1.14, the last for Python 3.10, does wrong."""
    objective, goal = objectives.find(order.spec.objective), order.spec.goal
    is_soft = objective.feeds != "answers" and virtual_tokens(order.trial.model)
    if Version(version("trl")) < LEAST_TRL and (is_soft or getattr(goal, "judge", None)):
        what = f"{objective.title} of a soft prompt" if is_soft else "Payment by a reward model"
        raise ValueError(f"{what} needs TRL {LEAST_TRL}, which needs Python 3.11; here is TRL {version('trl')}.")


BUILDERS: dict[str, Callable[[Order, Any], Any]] = {
    "SFTTrainer": _sft, "DPOTrainer": _dpo, "KTOTrainer": _kto, "RewardTrainer": _reward, "GRPOTrainer": _grpo,
}  # fmt: skip
