"""Few-shot: rows of the task stand in the context as answered questions, and nothing is trained (Brown et al. 2020,
section 2). What it costs is context: their tokens are read again with every prompt.
"""

from __future__ import annotations

from experiments.methods.base import Method, Settings, knob


class FewShotSettings(Settings):
    examples: int = knob(
        4, "Examples", ge=1, le=64, unit="rows",
        low="One example shows the form of an answer and little else.",
        high="Each costs its tokens with every prompt, and small models stop gaining after some.",
    )  # fmt: skip


METHOD = Method(
    key="few-shot",
    title="Few-shot",
    summary="Trains nothing: some rows of the task stand before every prompt, as questions already answered. Costs context, not training.",
    paper="Brown et al. 2020, Language Models are Few-Shot Learners",
    paper_url="https://arxiv.org/abs/2005.14165",
    Settings=FewShotSettings,
    count=lambda arch, settings: 0,
    formula=lambda arch, settings: f"nothing; {settings.examples} rows of the task stand before every prompt",
    attach=lambda model, settings, tokenizer: model,
    learning_rate=lambda settings: 0.0,
    usual_rates=(0.0, 0.0),
    starts_at_base=lambda settings: False,
    examples=lambda settings: settings.examples,
    trains=False,
)
