"""Several LoRAs on one loaded base: each alone by switching, and put together into one adapter, by PEFT. Nothing is trained.

Stacked, the updates are added (PEFT's `cat`: the thin matrices side by side, exact). The other ways work on the thin matrices
A and B themselves, so that B A of the result also holds products of one run's B with another's A: a coarser mix. TIES (Yadav
et al. 2023, section 3) keeps the largest entries and elects a sign for each; DARE (Yu et al. 2024, section 3) drops entries at
random and scales up the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from peft import PeftModel

from experiments import events
from experiments.catalog import tasks
from experiments.engine import evaluation, generation
from experiments.engine.models import Base, fresh, named
from experiments.engine.randomness import RandomState
from experiments.methods.lora_mix import MixSettings, Mixture
from experiments.questions import MixSpec
from experiments.specs import RunSpec

WAYS = {"stack": "cat", "linear": "linear", "ties": "ties", "dare": "dare_linear", "dare-ties": "dare_ties"}
"""What PEFT calls them."""


def together(model: Any, folders: Mapping[str, Path]) -> Any:
    """A fresh model with all of these adapters loaded, each by its name. Raises `FileNotFoundError` where one is gone."""
    for name, folder in folders.items():
        if not folder.is_dir():
            raise FileNotFoundError(f"The adapter of run {name} is not on this machine any more.")
    first, *others = folders
    model = PeftModel.from_pretrained(model, folders[first], adapter_name=first)
    for name in others:
        model.load_adapter(folders[name], name)
    return model.eval().requires_grad_(False)


def mix(model: Any, asked: Mixture, way: str, name: str = "") -> None:
    """Put the loaded adapters together in this way and switch to the result, which is called by it unless it has a `name`."""
    shares = list(asked.shares or [1.0] * len(asked.runs))
    with RandomState(asked.seed):
        model.add_weighted_adapter(list(asked.runs), shares, name or way, WAYS[way], density=asked.density)
    model.set_adapter(name or way)
    model.eval().requires_grad_(False)


def kept(model: Any, folders: Mapping[str, Path], settings: MixSettings) -> Any:
    """A fresh model with the mix of these adapters as its only one: what PEFT saves as a plain LoRA."""
    model = together(model, folders)
    mix(model, settings, settings.how, "default")
    for run in folders:
        model.delete_adapter(run)
    model.lab_mixed = named("lora-mix", settings)
    return model


def looks(
    base: Base, runs: Mapping[str, tuple[RunSpec, Path]], asked: MixSpec, between: Callable[[], None]
) -> Iterator[events.Mixed]:
    """The base, each run alone, and each mix, on the held-out rows of every task that the runs were trained on."""
    about = {run.task: tasks.of(run) for run, _ in runs.values()}
    for task in about.values():
        said = evaluation.base_probes(base, task, between)[:1]
        loss = evaluation.base_held_out_loss(base, task, between)
        yield events.Mixed(name="base", task=task.key, held_out_loss=loss, answers=_answers(task, said))
    model = together(fresh(base), {run_id: folder for run_id, (_, folder) in runs.items()})
    one_rank = len({config.r for config in model.peft_config.values()}) == 1
    for run_id in runs:
        model.set_adapter(run_id)
        model.requires_grad_(False)
        yield from _look(model, base, run_id, about, between)
    for way in asked.ways:
        if way == "stack" or one_rank:
            mix(model, asked, way)
            yield from _look(model, base, way, about, between)
            model.set_adapter(asked.runs[0])  # PEFT warns of deleting the active one
            model.delete_adapter(way)


def _look(
    model: Any, base: Base, name: str, about: Mapping[str, tasks.Task], between: Callable[[], None]
) -> Iterator[events.Mixed]:
    for task in about.values():
        began = time.perf_counter()
        loss = evaluation.held_out_loss(model, base, task, between)
        said = generation.answers(
            model, base.tokenizer, task.asked[:1], task.max_new_tokens, between, task.template
        )  # fmt: skip
        yield events.Mixed(
            name=name, task=task.key, held_out_loss=loss, answers=_answers(task, said),
            elapsed_s=round(time.perf_counter() - began, 3),
        )  # fmt: skip


def _answers(task: tasks.Task, said: list[str]) -> tuple[events.Answer, ...]:
    return tuple(events.Answer(prompt=p, answer=a) for p, a in zip(task.probes, said, strict=False))
