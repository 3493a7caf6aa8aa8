"""Supervised fine-tuning, by the lab's own loop: the answer is shown and imitated, token by token."""

from __future__ import annotations

from experiments.objectives.base import Objective

OBJECTIVE = Objective(
    key="sft",
    title="Imitate answers",
    summary="Shows an answer to each prompt; the model learns to say just that.",
    needs="One good answer a prompt.",
    when="First, whenever you can write the answer down: nothing is cheaper or steadier.",
    trainer="",
    paper="Ouyang et al. 2022, InstructGPT, section 3.5",
    paper_url="https://arxiv.org/abs/2203.02155",
    feeds="answers",
)
