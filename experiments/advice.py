"""What people get wrong most, said in a sentence: before the start from the spec, after the end from the record.

Advice never stands in the way: what cannot run at all is a `SpecError`. Pure functions; no model is loaded. The rates and
steps that are usual stand with each method, those of the scale follow Hu et al. 2021, section 4.1 (alpha / rank near 1).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from experiments import methods, objectives
from experiments.methods.lora import LoraSettings
from experiments.specs import RunSpec

if TYPE_CHECKING:
    from experiments.analysis import Record

SCALES = (0.25, 8.0)  # of alpha / rank; outside it acts like another learning rate
HARDLY = 0.02  # share of the first loss by which a run that learns something falls at least
TURNED = 0.05  # share by which held-out loss may rise again before it is said
UNENDING_STEPS = 3  # the last ones, whose answers are asked whether they ended
FORGOT = 0.5  # nats a token on general text


@dataclass(frozen=True)
class Advice:
    """One sentence about one field of the spec, named as in `specs.Problem`; empty where it is about the whole run."""

    field: str
    sentence: str


def before(spec: RunSpec) -> list[Advice]:
    """What to think about before this run starts."""
    if not methods.find(spec.method).trains:
        return []
    return [*_scale(spec), *_rate(spec), *_length(spec)]


def after(record: Record) -> list[Advice]:
    """What the end of this run tells, and what to try."""
    if not record.ended or not record.method.trains:
        return []
    return [*_packed(record), *_end_token(record), *_changed_nothing(record), *_course(record), *unending(record)]


def unending(record: Record) -> list[Advice]:
    """Where most of the answers that were tried at last did not end by themselves."""
    cut = [s.measures["cut"] for s in record.steps[-UNENDING_STEPS:] if s.measures and "cut" in s.measures]
    share = sum(cut) / len(cut) if cut else 0.0
    if share <= 0.5:
        return []
    said = (
        f"{100 * share:.0f} % of the answers tried at last did not end by themselves and were cut at the task's limit."
    )
    return [Advice("goal", said)]


def diverged(spec: RunSpec) -> str:
    """What to try where the loss is no longer a number."""
    low, high = methods.find(spec.method).usual_rates
    rate, title = spec.train.learning_rate, methods.find(spec.method).title
    tries = [f"a learning rate of {min(rate / 10, high):.2g}"]
    if isinstance(spec.settings, LoraSettings) and scale(spec.settings) > SCALES[1]:
        tries.append(f"an alpha of {spec.settings.rank * 2}")
    tries += ["a warm-up"] if not spec.train.warmup else []
    tries += ["clipping at 1"] if not 0 < spec.train.clip <= 1 else []
    usual = f"Usual rates for {title} are {low:g} to {high:g}; this run had {rate:g}."
    return f"{usual} Try {' or '.join(tries)}."


def scale(settings: LoraSettings) -> float:
    """What the update of LoRA is multiplied by."""
    return settings.alpha / (math.sqrt(settings.rank) if settings.rslora else settings.rank)


def _scale(spec: RunSpec) -> Iterator[Advice]:
    if not isinstance(spec.settings, LoraSettings):
        return
    times, name = scale(spec.settings), "alpha / √rank" if spec.settings.rslora else "alpha / rank"
    if times < SCALES[0]:
        yield Advice(
            "settings.alpha",
            f"{name} is {times:.2g}: the update hardly counts. Usual is 1 to 2, here alpha {spec.settings.rank}.",
        )
    elif times > SCALES[1]:
        yield Advice(
            "settings.alpha",
            f"{name} is {times:.3g}, which acts like a learning rate {times / 2:.2g} times as high. Usual is 1 to 2.",
        )


def _rate(spec: RunSpec) -> Iterator[Advice]:
    method, rate = methods.find(spec.method), spec.train.learning_rate
    low, high = method.usual_rates
    if spec.train.steps == 0 or low <= rate <= high:
        return
    if rate == 0:
        yield Advice("train.learning_rate", "A learning rate of 0 changes nothing.")
        return
    fitting = [
        m.title
        for m in methods.METHODS
        if m.trains and m.key != method.key and m.usual_rates[0] <= rate <= m.usual_rates[1]
    ]
    whose = f"; it is usual for {', '.join(fitting[:3])}" if fitting else ""
    side = "above" if rate > high else "below"
    yield Advice(
        "train.learning_rate", f"{rate:g} is {side} what is usual for {method.title}, {low:g} to {high:g}{whose}."
    )


def _length(spec: RunSpec) -> Iterator[Advice]:
    train, method = spec.train, methods.find(spec.method)
    if 0 < train.steps < method.least_steps:
        yield Advice(
            "train.steps",
            f"{train.steps} steps are few for {method.title}; from {method.least_steps} on it learns something.",
        )
    if train.steps and train.warmup > train.steps / 2:
        yield Advice(
            "train.warmup",
            f"A warm-up of {train.warmup} steps takes most of the {train.steps}: the full rate comes late or never.",
        )
    if train.patience and train.patience >= train.looks - 1:
        yield Advice(
            "train.patience",
            f"With {train.looks} looks a patience of {train.patience} can never end the run; ask for more looks.",
        )


def _packed(record: Record) -> Iterator[Advice]:
    """What packing the base saved, and how far its own loss moved by it: that of the method before its first step."""
    told, base, untrained = record.started, record.base, record.held_out[0] if record.held_out else None
    if told is None or told.packed_mb is None:
        return
    said = f"Packed, the frozen weights take {told.packed_mb:,.0f} MB instead of {4 * told.total / 1e6:,.0f}"
    if base and untrained and base.held_out_loss and untrained.held_out_loss:
        moved = untrained.held_out_loss - base.held_out_loss
        said += f"; that alone moved the base's held-out loss by {moved:+.3f}, from {base.held_out_loss:.3f}"
    yield Advice("settings.weights", f"{said}. The lab keeps the unpacked base beside it, to compare with.")


def _end_token(record: Record) -> Iterator[Advice]:
    share = record.started.without_end if record.started else None
    if share:
        yield Advice(
            "task",
            f"{share:.0%} of the rows are learnt without the end token: the tuned model will often not know when to stop.",
        )


def _changed_nothing(record: Record) -> Iterator[Advice]:
    if record.spec.train.steps and not _moved(record):
        train = record.spec.train
        why = "the learning rate is 0" if train.learning_rate == 0 else "the warm-up never ended" if train.warmup >= train.steps else (
            "nothing that was trained reaches the answer")  # fmt: skip
        yield Advice("train.learning_rate", f"The adapter changed nothing, the largest change of a logit is 0: {why}.")


def _moved(record: Record) -> bool:
    """Whether anything was trained that changed the model: where nothing was, that is said already, or was meant."""
    change = record.tuned.largest_logit_change if record.tuned else None
    return bool(record.spec.train.steps) and change != 0


def _course(record: Record) -> Iterator[Advice]:
    """What the curves say: nothing learnt, learnt by heart, or forgotten."""
    looks = [e for e in record.held_out if e.held_out_loss is not None]
    if record.finished and record.finished.stopped_at:
        yield Advice(
            "train.patience",
            f"Stopped early at step {record.finished.stopped_at}; the best look was at step {looks[-1].step}.",
        )
    elif (  # of answers to imitate: what learns from preferences or rewards is not out to lower it
        objectives.find(record.spec.objective).feeds == "answers"
        and len(looks) > 1
        and looks[0].held_out_loss
        and looks[-1].held_out_loss
    ):
        first, last, best = looks[0], looks[-1], min(looks, key=lambda e: e.held_out_loss or math.inf)
        assert first.held_out_loss and last.held_out_loss and best.held_out_loss
        if last.held_out_loss > best.held_out_loss * (1 + TURNED) and best.step > 0:
            yield Advice(
                "train.steps",
                f"Held-out loss was lowest at step {best.step} ({best.held_out_loss:.2f}) and rose to "
                f"{last.held_out_loss:.2f}: fewer steps, or patience, would keep the better one.",
            )
        elif last.held_out_loss > first.held_out_loss * (1 + TURNED):
            yield Advice(
                "train.learning_rate",
                f"Held-out loss rose from {first.held_out_loss:.2f} to {last.held_out_loss:.2f}, and no look was better than "
                "the first: try a lower learning rate.",
            )
        elif best.held_out_loss > first.held_out_loss * (1 - HARDLY) and record.status == "finished" and _moved(record):
            yield Advice(
                "train.learning_rate", f"Held-out loss hardly moved ({first.held_out_loss:.2f} → {last.held_out_loss:.2f}): "
                "try a higher learning rate or more steps."
            )  # fmt: skip
    if record.forgetting is not None and record.forgetting > FORGOT:
        yield Advice(
            "train.learning_rate",
            f"Loss on general text rose by {record.forgetting:.2f}: much was forgotten; a lower rate forgets less.",
        )
