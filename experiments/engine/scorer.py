"""A model that gives an answer one number: the tuned model with a head of one output in place of its own, read at the last token.

Shapes: B rows, T tokens, D width. The looks at it are those of a judge: how many held-out pairs it tells apart, its loss on
them, and whether it merely likes long answers.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from experiments import events
from experiments.catalog import tasks
from experiments.catalog.tasks.base import PREFERS, Row
from experiments.engine import data, preference
from experiments.engine.models import Base

FILE = "score.safetensors"


@dataclass
class Scores:
    """What a trainer of reward models expects a model to give: shape (B, 1)."""

    logits: Tensor


class Scorer(nn.Module):
    """`inner`: the tuned model; its head gives one number a token, of which the last token's counts."""

    def __init__(self, inner: Any, head: nn.Linear):
        super().__init__()
        self.inner = inner
        whole: Any = inner.get_base_model() if isinstance(inner, PeftModel) else inner
        whole.set_output_embeddings(head)
        self.config: Any = copy.deepcopy(whole.config)
        self.config.num_labels = 1

    @property
    def head(self) -> nn.Linear:
        return self.inner.get_output_embeddings()

    @property
    def device(self) -> torch.device:
        return self.head.weight.device

    def add_model_tags(self, tags: Any) -> None:
        """Nothing: it is not shared as a model of its own."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor, use_cache: bool = False) -> Scores:
        """Scores of rows (B, T), padded on the right."""
        scores_BT1 = self.inner(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).logits
        rows, length = input_ids.shape
        last_B = attention_mask.sum(1).long() - 1
        return Scores(scores_BT1[:, -length:][torch.arange(rows, device=input_ids.device), last_B])


def with_head(inner: Any) -> Scorer:
    """The tuned model with a fresh head, drawn from the stream of random numbers; it learns, too."""
    width = inner.config.get_text_config().hidden_size
    head = nn.Linear(width, 1, bias=False)
    nn.init.normal_(head.weight, std=1 / math.sqrt(width + 1))
    return Scorer(inner, head)


def save_head(model: Scorer, folder: Path) -> None:
    save_file({"score.weight": model.head.weight.detach().contiguous()}, folder / FILE)


def load_head(inner: Any, folder: Path) -> Scorer:
    """The scorer that was saved into this folder, over its tuned model."""
    weight = load_file(folder / FILE, device=str(inner.device))["score.weight"]
    head = nn.Linear(weight.shape[1], 1, bias=False, device=weight.device)
    head.weight.data = weight
    return Scorer(inner, head.requires_grad_(False)).eval()


@torch.no_grad()
def scores(
    model: Scorer, base: Base, rows: Sequence[Row], task: tasks.Task, between: Callable[[], None] = lambda: None
) -> Tensor:
    """The score of each row's completion, shape (len(rows),), on the CPU in float64."""
    found = torch.zeros(len(rows), dtype=torch.float64)
    examples = [data.encode(base.tokenizer, row, task.max_length, task.template) for row in rows]
    for part, batch in data.batches(examples, base.tokenizer.pad_token_id, model.device, preference.BATCH):
        found[part] = model(batch.ids_BT, batch.mask_BT).logits[:, 0].double().cpu()
        between()
    return found


def look(
    model: Scorer, base: Base, task: tasks.Task, step: int, between: Callable[[], None] = lambda: None
) -> events.Evaluated:
    """How it judges the held-out pairs. `length_bias`: rank correlation of score and length over all answers to them
    (Spearman), left out where all lengths or scores are equal. Of pairs that differ in length, in %: `prefers_longer` and
    `longer_is_better`."""
    began = time.perf_counter()
    held_out = preference.pairs(task)
    rows = [*held_out, *map(preference.worse, held_out)]
    found_R = scores(model, base, rows, task, between)
    margin_P = found_R[: len(held_out)] - found_R[len(held_out) :]
    loss = float(-nn.functional.logsigmoid(margin_P).mean())
    metrics = {PREFERS.key: preference.wins(margin_P), "score_margin": float(margin_P.mean())}
    lengths = [len(row.completion) for row in rows]
    if len(set(lengths)) > 1 and len(set(found_R.tolist())) > 1:
        from scipy.stats import spearmanr  # half a second, which every worker would take to start

        metrics["length_bias"] = float(spearmanr(lengths, found_R.numpy()).statistic)
    longer_P = torch.tensor([len(pair.completion) - len(pair.rejected) for pair in held_out]).sign()
    if (unlike_P := longer_P != 0).any():
        metrics["prefers_longer"] = preference.wins((margin_P * longer_P)[unlike_P])
        metrics["longer_is_better"] = preference.wins(longer_P[unlike_P])
    return events.Evaluated(
        subject="tuned", step=step, held_out_loss=loss if math.isfinite(loss) else None, metrics=metrics,
        elapsed_s=round(time.perf_counter() - began, 3),
    )  # fmt: skip
