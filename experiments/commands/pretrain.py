"""Making the bundled model anew, and measuring how good a model of its kind is."""

from __future__ import annotations

import json
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments import specs
from experiments.catalog.cache import lab_home
from experiments.terminal import AsJson, app, people, progress_bar, sentences

if TYPE_CHECKING:
    from experiments.engine.pretraining import Pretraining
    from experiments.pretraining.recipe import Recipe

MOST_MINUTES = 150.0
SAVE_EVERY_S = 180.0
SAY_EVERY_S = 60.0
STEPS_TO_KNOW_THE_SPEED = 50


@app.command()
def pretrain(
    steps: Annotated[int | None, typer.Option(help="Steps to train; the recipe's own by default.")] = None,
    minutes: Annotated[
        float, typer.Option(min=0.01, help="End after about so long at the latest, learning rate and all.")
    ] = MOST_MINUTES,
    folder: Annotated[Path | None, typer.Option(help="Where the checkpoint is kept.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where the finished model is put.")] = None,
    only_world: Annotated[bool, typer.Option(help="Only the generated text: nothing is fetched.")] = False,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A number of the recipe, name=value.")] = None,
    fresh: Annotated[bool, typer.Option(help="Begin anew where there is a checkpoint.")] = False,
    as_json: AsJson = False,
) -> None:
    """Pretrain the bundled model; stopped (Ctrl+C) or killed, the same command goes on where it was."""
    folder = folder or lab_home() / "pretraining" / "lab-nano"
    out = out or folder.with_name(folder.name + "-finished")
    with sentences(as_json), _signals() as stop:
        recipe = _recipe(steps, only_world, settings or [])
        training, tokenizer = _begin(recipe, folder, fresh)
        done = _train(training, tokenizer, minutes, stop)
        if done:
            from experiments.engine.pretraining import export

            export(folder, out)
    at = training.progress
    result = {
        "finished": done, "step": at.step, "of": training.recipe.stop, "loss": at.loss, "seconds": round(at.seconds),
        "checkpoint": str(folder), "model": str(out) if done else None,
    }  # fmt: skip
    if as_json:
        print(json.dumps(result))
    else:
        people.print(f"The model is in {out}." if done else f"Stopped at step {at.step}; the same command goes on.")


def _recipe(steps: int | None, only_world: bool, settings: list[str]) -> Recipe:
    """The recipe with what was asked for. Raises `ValueError` or `SpecError`."""
    from experiments.pretraining.recipe import ONLY_THE_WORLD, Recipe

    asked: dict[str, Any] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"“{setting[:40]}” is not of the form name=value.")
        asked[name.strip()] = value.strip()
    if only_world:
        asked |= {"shares": ONLY_THE_WORLD, "late_shares": ONLY_THE_WORLD}
    if steps is not None:
        laid = int(asked.get("steps", Recipe.model_fields["steps"].default))
        asked |= {"stop": steps, "steps": max(steps, laid)}
    return specs.build(Recipe, asked)


def _begin(recipe: Recipe, folder: Path, fresh: bool) -> tuple[Pretraining, Path]:
    """A training, taken up where there is one, and the folder of its tokenizer."""
    with progress_bar() as (bar, row):

        def report(stage: str, done: int, total: int | None) -> None:
            bar.update(row, description=stage, completed=done, total=total)

        from experiments.pretraining import corpus, tokenizer

        made = corpus.prepare(recipe, report)
        rows = corpus.rows(made, recipe, report)
        report("building the model", 0, None)
        from experiments.engine.pretraining import Pretraining, keep_memory

    keep_memory()
    kept = folder.with_name(folder.name + "-tokenizer")
    tokenizer.save(made.tokenizer, kept, 2 * recipe.length)
    if fresh:
        shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    training = Pretraining(recipe, rows, folder, lambda final: corpus.late_rows(made, final))
    if training.take_up():
        people.print(f"Going on from step {training.progress.step} of {training.recipe.stop}.")
    return training, kept


def _train(training: Pretraining, tokenizer: Path, minutes: float, stop: threading.Event) -> bool:
    """Train to the end or to a signal, with checkpoints on the way; whether the end was reached."""
    began = saved = said = time.monotonic()
    first = training.progress.step
    with progress_bar() as (bar, row):
        for at in training.run(stop.is_set):
            if at.step - first >= STEPS_TO_KNOW_THE_SPEED and at.step < training.recipe.falls_from():
                training.end_after(minutes, (time.monotonic() - began) / (at.step - first))
            bar.update(row, description=f"loss {at.loss:.3f}", completed=at.step, total=training.recipe.stop)
            now = time.monotonic()
            if now - said > SAY_EVERY_S:
                people.print(_sentence(training, (now - began) / (at.step - first)))
                said = now
            if now - saved > SAVE_EVERY_S:
                training.save(tokenizer)
                saved = now
    training.save(tokenizer)
    return training.progress.step >= training.recipe.stop


def _sentence(training: Pretraining, a_step_s: float) -> str:
    """How far it is, at the speed since this process took it up: an earlier one may have had a busier machine."""
    at, recipe = training.progress, training.recipe
    left_min, speed = a_step_s * (recipe.stop - at.step) / 60, recipe.rows * recipe.length / a_step_s
    return f"step {at.step} of {recipe.stop}, loss {at.loss:.3f}, {speed:,.0f} tokens/s, {left_min:.0f} min left"


@contextmanager
def _signals() -> Iterator[threading.Event]:
    """Set by Ctrl+C or a polite end, so that the step under way is finished and kept."""
    stop = threading.Event()
    before = {s: signal.signal(s, lambda *_: stop.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@app.command()
def quality(
    folder: Annotated[Path, typer.Argument(help="The folder of a model that `pretrain` made.")],
    facts: Annotated[int | None, typer.Option(help="Ask only so many facts of each kind.")] = None,
    card: Annotated[bool, typer.Option(help="Write the model card into the folder, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Measure a pretrained model: bits per byte beside a 5-gram model, facts answered exactly, samples as they come."""
    with sentences(as_json), progress_bar() as (bar, row):
        record = folder / "training.json"
        if not record.is_file():
            raise ValueError(f"{folder} holds no training.json; it is not a model that `pretrain` made.")

        def report(stage: str, done: int, total: int | None) -> None:
            bar.update(row, description=stage, completed=done, total=total)

        from experiments.pretraining import corpus
        from experiments.pretraining.recipe import Recipe

        training = json.loads(record.read_text(encoding="utf8"))
        made = corpus.prepare(Recipe.model_validate(training["recipe"]), report)
        from experiments.engine import models
        from experiments.engine.quality import measure

        base = models.load(folder)
        if base.tokenizer.backend_tokenizer.get_vocab() != made.tokenizer.get_vocab():
            raise ValueError(
                f"{folder} has another tokenizer than its recipe gives here: it was made by another version."
            )
        found = measure(base, made, report, facts) | {"parameters": base.total}
        if card:
            from experiments.pretraining.card import text

            (folder / "README.md").write_text(text(training, found), encoding="utf8")
    if as_json:
        print(json.dumps(found))
        return
    for source, bits in found["bits_per_byte"].items():
        print(f"{source}: {bits['model']:.3f} bits per byte, 5-gram {bits['five_gram']:.3f}")
    for name, counted in found["facts"].items():
        print(f"{name}: {counted['right']} of {counted['asked']} answered exactly")
