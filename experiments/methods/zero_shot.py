"""Zero-shot: the base model as it is, asked without a single example. What every method is measured against."""

from experiments.methods.base import Method, NoSettings

METHOD = Method(
    key="zero-shot",
    title="Zero-shot",
    summary="Trains nothing: the base model answers as it is. Every other row is measured against this one.",
    paper="Radford et al. 2019, Language Models are Unsupervised Multitask Learners",
    paper_url="https://cdn.openai.com/better-language-models/language_models_are_unsupervised_multitask_learners.pdf",
    Settings=NoSettings,
    count=lambda arch, settings: 0,
    attach=lambda model, settings, tokenizer: model,
    learning_rate=lambda settings: 0.0,
    usual_rates=(0.0, 0.0),
    starts_at_base=lambda settings: True,
    trains=False,
)
