"""What cannot fit is refused with the numbers, before anything is loaded."""

import pytest

from experiments import fitting, methods, objectives, recorded
from experiments.accounting import llama_arch
from experiments.accounting.memory import Load, predict
from experiments.catalog import models, tasks
from experiments.specs import RunSpec, SpecError, build
from lab_app import setup

ARCH = llama_arch(models.find("smollm2-135m").config)


def spec(method: str = "lora", **train) -> RunSpec:
    return build(RunSpec, {"model": "smollm2-135m", "task": "pirate", "method": method, "train": train})


SMOL = "smollm2-135m"
MEASURED = [
    (SMOL, "pirate", "lora", 4, 1581), (SMOL, "pirate", "lora", 16, 2871), (SMOL, "pirate", "prompt", 4, 1345),
    (SMOL, "pirate", "qlora", 4, 1242), (SMOL, "pirate", "partial", 4, 1317), (SMOL, "pirate", "full", 4, 3625),
    (SMOL, "plain-english", "lora", 4, 1848), (SMOL, "sentiment", "prefix", 4, 1331),
    ("lab-nano", "storyteller", "lora", 32, 835),
]  # fmt: skip
"""Peaks in MB of two steps, the first of the longest batch, one thread, 2026-11-26 (docs/LOG.md)."""


@pytest.mark.parametrize(("model", "task", "method", "batch_size", "peak_mb"), MEASURED)
def test_what_is_foretold_was_measured(model, task, method, batch_size, peak_mb):
    run = build(RunSpec, {"model": model, "task": task, "method": method, "train": {"batch_size": batch_size}})
    assert fitting.foretold_mb(run) == pytest.approx(peak_mb, rel=0.12)


def test_the_recorded_runs_needed_about_what_is_foretold_of_rows_apart_with_all_scores_at_once():
    """As the code that made them did a step, and as TRL's trainers do it."""
    runs = [record for record in (*recorded.load(), *recorded.gallery()) if record.finished.peak_mb]
    assert {"lora", "qlora"} <= {record.spec.method for record in runs}
    for run, peak_mb in ((record.spec, record.finished.peak_mb) for record in runs):
        arch = models.arch(models.find(run.model))
        assert fitting.needed_mb(run, arch) >= fitting.peak_mb(run, arch)
        apart_mb = fitting.peak_mb(run, arch)
        if not objectives.find(run.objective).is_trls:
            rows, tokens = run.train.batch_size, tasks.find(run.task).row_tokens
            load = Load(batch_size=rows, tokens=tokens, learnt=50, keeps_base=True)
            apart_mb = predict(arch, methods.find(run.method), run.settings, load, all_scores=True).total / 1e6
        assert apart_mb == pytest.approx(peak_mb, rel=0.15), (run.method, run.task)
    assert fitting.needed_mb(spec(batch_size=64), ARCH) > 2 * fitting.needed_mb(spec(batch_size=4), ARCH)


def test_what_rows_share_counts_once_where_they_are_joined():
    plain, dropped = (
        fitting.peak_mb(spec(batch_size=16).model_copy(update={"settings": s}), ARCH)
        for s in (spec().settings, spec().settings.model_copy(update={"dropout": 0.1}))
    )
    assert dropped > 1.25 * plain


def test_long_rows_need_more_than_short_ones():
    """A step of LoRA at batch 4: 77 tokens a row, 188, and 512 at which most conversations are cut."""
    tasks = ("pirate", "alpaca", "demo-pairs")
    short, longer, longest = (fitting.needed_mb(spec().model_copy(update={"task": task}), ARCH) for task in tasks)
    assert 1.4 * short < longer < 0.6 * longest
    assert fitting.refusal(longest, 4000, 4) and not fitting.refusal(short, 4000, 4)


def test_what_cannot_fit_is_refused_with_the_numbers(monkeypatch):
    monkeypatch.setattr(fitting, "here_mb", lambda: 2500.0)
    fitting.check(spec(), ARCH)
    with pytest.raises(SpecError) as caught:
        fitting.check(spec("full"), ARCH)
    (problem,) = caught.value.problems
    assert problem.field == "train.batch_size" and problem.sentence.endswith(
        "MB at its highest and there are 2,500 MB here: choose a smaller batch or a lighter method."
    )
    monkeypatch.setattr(fitting, "here_mb", lambda: None)
    fitting.check(spec("full"), ARCH)


def test_the_form_says_so_at_the_batch(home, monkeypatch):
    monkeypatch.setattr(fitting, "here_mb", lambda: 1000.0)
    _, problems = setup.order(setup.Draft.read({**setup.start(), "model": "smollm2-135m", "methods": ["full"]}))
    assert "there are 1,000 MB here" in problems["train.batch_size"]


def test_this_machine_has_memory():
    here = fitting.here_mb()
    assert here is None or here > 500
    assert fitting.refusal(9e9, 4000, 1).endswith("choose a lighter method or a smaller model.")
