"""Pretraining a small Llama from nothing: one loop over rows that are laid out beforehand, stopped and taken up at will.

A checkpoint is a folder that loads as a model at any time (safetensors, tokenizer) with the optimizer's tensors and a
JSON record beside it; nothing is pickled. Killed and taken up again it gives the losses it would have given. In
bfloat16 where the processor multiplies it in hardware (5–7 × float32 there), weights and sums in float32.

Shapes: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM

from experiments.pretraining.recipe import Recipe
from experiments.pretraining.tokenizer import END, PAD, SPECIAL

STATE, OPTIMIZER = "pretraining.json", "optimizer.pt"


@dataclass
class Progress:
    """How far a training is. `curve`: (step, mean training loss since the last point, learning rate share)."""

    step: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    curve: list[tuple[int, float, float]] = field(default_factory=list)


def build(recipe: Recipe) -> LlamaForCausalLM:
    """The untrained model of a recipe, the same for the same seed. Residual outputs start small (Radford et al. 2019, 2.3)."""
    torch.manual_seed(recipe.seed)
    config = LlamaConfig(
        vocab_size=recipe.vocabulary,
        hidden_size=recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.key_value_heads,
        intermediate_size=recipe.inner,
        max_position_embeddings=2 * recipe.length,
        attention_bias=True,
        mlp_bias=True,
        tie_word_embeddings=True,
        bos_token_id=SPECIAL.index(END),
        eos_token_id=SPECIAL.index(END),
        pad_token_id=SPECIAL.index(PAD),
        attn_implementation="eager",  # on rows this short faster than the fused kernel's backward pass: 0.6 ×
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("o_proj.weight", "down_proj.weight")):
                parameter.mul_((2 * recipe.layers) ** -0.5)
    return model


def optimizer_of(model: nn.Module, recipe: Recipe) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019), with decay on matrices only."""
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim != 2]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), fused=True)


def half_precision(device: torch.device) -> bool:
    """Whether bfloat16 products are done in hardware here."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return bool(torch.backends.mkldnn.is_available() and torch.cpu._is_avx512_bf16_supported())


def loss_of(model: Any, ids_BT: Tensor, half: bool) -> Tensor:
    """Mean loss in nats of every token but the first of each row."""
    with torch.autocast(ids_BT.device.type, torch.bfloat16, enabled=half):
        logits_BTV = model(input_ids=ids_BT[:, :-1], use_cache=False).logits
    return F.cross_entropy(logits_BTV.flatten(0, 1).float(), ids_BT[:, 1:].flatten())


class Pretraining:
    """A training under way: a model, its optimizer, the rows and how far it is."""

    def __init__(self, recipe: Recipe, rows: Any, folder: Path):
        self.recipe, self.rows, self.folder = recipe, rows, folder
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = build(recipe).to(self.device).train()
        self.optimizer = optimizer_of(self.model, recipe)
        self.half = half_precision(self.device)
        self.progress = Progress()

    def step(self) -> float:
        """One step; returns its loss."""
        recipe, at = self.recipe, self.progress.step
        chosen = torch.from_numpy(self.rows[at * recipe.rows : (at + 1) * recipe.rows].astype("int64"))
        if recipe.halves(at):
            middle = recipe.length // 2
            chosen = torch.cat([chosen[:, : middle + 1], chosen[:, middle:]])
        loss = loss_of(self.model, chosen.to(self.device), self.half)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * recipe.rate(at)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        return float(loss.detach())

    def run(self, until: Callable[[], bool], every: int = 25) -> Iterator[Progress]:
        """Train to the last step or until told; a progress every few steps."""
        began, already, total, count = time.monotonic(), self.progress.seconds, 0.0, 0
        while self.progress.step < self.recipe.stop and not until():
            total, count = total + self.step(), count + 1
            self.progress.seconds = already + time.monotonic() - began
            if self.progress.step % every == 0 or self.progress.step == self.recipe.stop:
                self.progress.loss = total / count
                self.progress.curve.append(
                    (self.progress.step, round(total / count, 4), round(self.recipe.rate(self.progress.step), 4))
                )
                total, count = 0.0, 0
                yield self.progress

    def save(self, tokenizer: Path) -> None:
        """A checkpoint in place of the last one; whoever reads the folder finds the old or the new, whole."""
        partial = self.folder.with_name(self.folder.name + ".part")
        shutil.rmtree(partial, ignore_errors=True)
        self.model.save_pretrained(partial)
        for file in tokenizer.iterdir():
            shutil.copy(file, partial)
        torch.save(self.optimizer.state_dict(), partial / OPTIMIZER)
        state = {"recipe": self.recipe.asdict(), **vars(self.progress)}
        (partial / STATE).write_text(json.dumps(state), encoding="utf8")
        old = self.folder.with_name(self.folder.name + ".old")
        shutil.rmtree(old, ignore_errors=True)
        if self.folder.exists():
            os.rename(self.folder, old)
        os.rename(partial, self.folder)
        shutil.rmtree(old, ignore_errors=True)

    def take_up(self) -> bool:
        """Go on from the folder's checkpoint, if it has one of this recipe."""
        old = self.folder.with_name(self.folder.name + ".old")
        if not self.folder.exists() and old.exists():  # killed between two renames
            os.rename(old, self.folder)
        if not (self.folder / STATE).exists():
            return False
        state = json.loads((self.folder / STATE).read_text(encoding="utf8"))
        state.pop("recipe")
        from safetensors.torch import load_model

        load_model(self.model, self.folder / "model.safetensors")
        kept = torch.load(self.folder / OPTIMIZER, weights_only=True, map_location=self.device)
        self.optimizer.load_state_dict(kept)
        state["curve"] = [tuple(point) for point in state["curve"]]
        self.progress = Progress(**state)
        return True
