"""Pretraining a small Llama from nothing: one loop over rows that are laid out beforehand, stopped and taken up at will.

A checkpoint is a folder that loads as a model at any time (safetensors, tokenizer), with the optimizer's tensors and a
JSON record beside it; nothing is pickled. Killed and taken up again it gives the losses it would have given. In
bfloat16 where the processor multiplies that in hardware (seven times float32 there), weights and sums in float32.

Shapes: B rows, T tokens, V vocabulary.
"""

from __future__ import annotations

import ctypes
import json
import math
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, Field
from safetensors.torch import load_model
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.utils import logging

from experiments.engine.provenance import versions
from experiments.pretraining.corpus import Tokens
from experiments.pretraining.recipe import Recipe
from experiments.pretraining.tokenizer import END, PAD, SPECIAL

logging.disable_progress_bar()  # the lab tells progress itself
STATE, OPTIMIZER, RECORD = "pretraining.json", "optimizer.pt", "training.json"
CURVE_POINTS = 48  # of the training curve, in the record that goes with a finished model


class Progress(BaseModel):
    """How far a training is. `curve`: (step, mean training loss since the point before, learning rate as a share)."""

    step: int = 0
    seconds: float = 0.0
    curve: list[tuple[int, float, float]] = Field(default_factory=list)

    @property
    def loss(self) -> float | None:
        return self.curve[-1][1] if self.curve else None


class OtherRecipe(ValueError):
    """The checkpoint is of another recipe; the message is one sentence."""


def keep_memory() -> None:
    """Let glibc keep what is freed: given back to the system and cleared at the next touch it cost a fifth of a step."""
    try:
        libc = ctypes.CDLL("libc.so.6")
        for option, value in (
            (-3, 1 << 30),
            (-1, (1 << 31) - 1),
            (-2, 1 << 28),
        ):  # M_MMAP_THRESHOLD, M_TRIM_…, M_TOP_PAD
            libc.mallopt(option, value)
    except (OSError, AttributeError):  # not glibc
        return


def build(recipe: Recipe) -> Any:
    """The untrained Llama of a recipe, the same for the same seed. What is added to the residual stream starts small
    (Radford et al. 2019, 2.3).
    """
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
    )
    config._attn_implementation = "eager"  # on rows so short 0.6 × the time of the fused kernel, whose backward is slow
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
    return bool(torch.cpu._is_avx512_bf16_supported())


def loss_of(model: Any, ids_BT: Tensor, half: bool) -> Tensor:
    """Mean loss in nats of every token but the first of each row."""
    with torch.autocast(ids_BT.device.type, torch.bfloat16, enabled=half):
        logits_BTV = model(input_ids=ids_BT[:, :-1], use_cache=False).logits
    return F.cross_entropy(logits_BTV.flatten(0, 1).float(), ids_BT[:, 1:].flatten())


class Pretraining:
    """A training under way: a model, its optimizer, the rows [steps × rows, length + 1], how far it is; `late` lays out the
    rows of the late steps."""

    def __init__(self, recipe: Recipe, rows: Tokens, folder: Path, late: Callable[[Recipe], Tokens]):
        self.recipe, self.rows, self.folder = recipe, rows, folder
        self._lay_late = late
        self._late_rows: Tokens | None = None
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = build(recipe).to(self.device).train()
        self.optimizer = optimizer_of(self.model, recipe)
        self.half = half_precision(self.device)
        self.progress = Progress()
        self._since: list[float] = []  # losses since the last point of the curve

    def step(self) -> float:
        """One step; returns its loss."""
        recipe, at = self.recipe, self.progress.step
        ids_BT = torch.from_numpy(self._rows_of(at).astype("int64"))
        if at < recipe.late:
            middle = recipe.length // 2
            ids_BT = torch.cat([ids_BT[:, : middle + 1], ids_BT[:, middle:]])
        loss = loss_of(self.model, ids_BT.to(self.device), self.half)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = recipe.learning_rate * recipe.rate(at)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.progress.step += 1
        return float(loss.detach())

    def _rows_of(self, step: int) -> Tokens:
        if step < self.recipe.late:
            return self.rows[step * self.recipe.rows : (step + 1) * self.recipe.rows]
        if self._late_rows is None:  # only now is it sure where the training ends
            self._late_rows = self._lay_late(self.recipe)
        at = step - self.recipe.late
        return self._late_rows[at * self.recipe.rows : (at + 1) * self.recipe.rows]

    def run(self, enough: Callable[[], bool], every: int = 25) -> Iterator[Progress]:
        """Train to the last step, or until told that it is enough; gives the progress every few steps."""
        began, already = time.monotonic(), self.progress.seconds
        while self.progress.step < self.recipe.stop and not enough():
            self._since.append(self.step())
            self.progress.seconds = already + time.monotonic() - began
            if self.progress.step % every == 0 or self.progress.step == self.recipe.stop:
                mean = sum(self._since) / len(self._since)
                self.progress.curve.append(
                    (self.progress.step, round(mean, 4), round(self.recipe.rate(self.progress.step - 1), 4))
                )
                self._since.clear()
                yield self.progress

    def end_after(self, minutes: float, a_step_s: float) -> None:
        """Set the last step so that all takes about so long, at so many seconds a step from here on; the learning rate keeps all of
        its fall. Only before that begins."""
        recipe, done = self.recipe, self.progress.step
        fits = done + int((60 * minutes - self.progress.seconds) / max(a_step_s, 1e-6))
        least = math.ceil((done + 1) / (1 - recipe.decay)) if recipe.decay < 1 else recipe.steps
        self.recipe = recipe.model_copy(update={"stop": min(max(fits, least), recipe.steps)})

    def save(self, tokenizer: Path) -> None:
        """A checkpoint in place of the last one; whoever reads the folder finds the old or the new, whole."""
        partial, old = self.folder.with_name(self.folder.name + ".part"), self._old
        shutil.rmtree(partial, ignore_errors=True)
        self.model.save_pretrained(partial)
        shutil.copytree(tokenizer, partial, dirs_exist_ok=True)
        torch.save(self.optimizer.state_dict(), partial / OPTIMIZER)
        state = {"recipe": self.recipe.model_dump(), "since": self._since, **self.progress.model_dump()}
        (partial / STATE).write_text(json.dumps(state), encoding="utf8")
        shutil.rmtree(old, ignore_errors=True)
        if self.folder.exists():
            self.folder.rename(old)
        partial.rename(self.folder)
        shutil.rmtree(old, ignore_errors=True)

    @property
    def _old(self) -> Path:
        return self.folder.with_name(self.folder.name + ".old")

    def take_up(self) -> bool:
        """Go on from the folder's checkpoint, if it has one. Raises OtherRecipe where that is of another recipe."""
        if not self.folder.exists() and self._old.exists():  # killed between two renames
            self._old.rename(self.folder)
        if not (self.folder / STATE).exists():
            return False
        state = json.loads((self.folder / STATE).read_text(encoding="utf8"))
        kept = Recipe.model_validate(state.pop("recipe"))
        if not kept.same_but_for_its_end(self.recipe):
            raise OtherRecipe(
                f"{self.folder} holds a training of another recipe: name another folder, or begin --fresh."
            )
        if self.recipe.stop == self.recipe.steps:  # nobody asked for another end
            self.recipe = kept
        load_model(self.model, self.folder / "model.safetensors")
        self.optimizer.load_state_dict(torch.load(self.folder / OPTIMIZER, weights_only=True, map_location=self.device))
        self._since = state.pop("since", [])
        self.progress = Progress.model_validate(state)
        return True


def export(checkpoint: Path, folder: Path) -> None:
    """The model of a checkpoint as it ships: float16 weights, tokenizer, and a record of recipe and training curve."""
    state = json.loads((checkpoint / STATE).read_text(encoding="utf8"))
    folder.mkdir(parents=True, exist_ok=True)
    LlamaForCausalLM.from_pretrained(checkpoint, dtype=torch.float16, local_files_only=True).save_pretrained(folder)
    for file in checkpoint.iterdir():
        if file.name not in (STATE, OPTIMIZER, "model.safetensors", "config.json", "generation_config.json"):
            shutil.copy(file, folder)
    curve = state["curve"]
    wanted = {round(i * (len(curve) - 1) / (CURVE_POINTS - 1)) for i in range(CURVE_POINTS)}
    record = {
        "recipe": state["recipe"], "steps_done": state["step"], "seconds": round(state["seconds"]),
        "device": "cuda" if torch.cuda.is_available() else "cpu", "threads": torch.get_num_threads(),
        "versions": versions(), "curve": [curve[i] for i in sorted(wanted)] if curve else [],
    }  # fmt: skip
    (folder / RECORD).write_text(json.dumps(record, indent=1), encoding="utf8")
