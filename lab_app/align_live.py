"""The right column of the Align tab while its runs train, and when base and stages then answer the same questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gradio as gr

from experiments import path, recorded, specs
from experiments.analysis import Record
from experiments.catalog import tasks
from experiments.jobs import QueueFull
from experiments.questions import SampleSpec
from experiments.specs import RunSpec, SpecError
from lab_app import align_curves, align_view, live, visitor
from lab_app.align_curves import SHORT
from lab_app.lab import Lab

INTRO = "Three ways to teach an answer: show it, say which of two is better, pay for it. Press Start: one model goes through all three."
RECORDED = "Below, a recorded path, trained earlier on another machine."
NEWEST = 60
Still = Callable[[], bool]


def newest(lab: Lab, owner: str) -> list[str]:
    """The runs of what the visitor last did here, in order: the newest that does not merely imitate, and what it began with."""
    entries = lab.store.entries("train", owner, NEWEST) if owner else []
    found = {e.key.run_id: spec for e in entries if (spec := parsed(e.spec))}
    last = next((run_id for run_id, spec in found.items() if spec.objective not in ("sft", "sft-trl")), "")
    return path.chain(found.get, last)


def parsed(text: str) -> RunSpec | None:
    """A stored spec; None for one of a task or method that is gone."""
    try:
        return RunSpec.model_validate_json(text)
    except ValueError:
        return None


def spec_of(lab: Lab, owner: str, run_id: str) -> RunSpec | None:
    """The spec of a run that this visitor may see."""
    entry = lab.store.entry(run_id) if visitor.known(lab.store, [run_id], owner) else None
    return parsed(entry.spec) if entry else None


def path_to(lab: Lab, run_id: str, owner: str) -> list[str]:
    """The run and what it began with, the earliest first, as far as this visitor may see them."""
    return path.chain(lambda each: spec_of(lab, owner, each), run_id)


def draw(lab: Lab, shown: Mapping[str, Any], owner: str, still: Still) -> Iterator[list[Any]]:
    """The right column until all stages have ended, then while base and stages answer the same questions."""
    runs = visitor.known(lab.store, shown["runs"], owner)
    if not runs:
        there = recorded.path()
        notes = shown["notes"] or [INTRO, *([RECORDED, *align_view.sentences(there)] if there else [])]
        yield [{"tone": "bad" if shown["notes"] else "", "lines": notes}, *frame(there, is_own=False)]
        return
    records: Sequence[Record] = ()
    for snapshot in live.watch(lab, runs, owner, still):
        records = snapshot.records
        state = {
            "tone": "" if snapshot.ended else "busy",
            "lines": [*shown["notes"], *said(snapshot)],
            "done": done(records),
        }
        if shown.get("bad"):
            state["tone"] = "bad"
        yield [state, *frame(records, bool(snapshot.wanted))]
    if still() and all(r.ended for r in records) and (answering := align_view.answering(records)):
        yield from ask(lab, records, answering, owner, still)


def ask(
    lab: Lab, records: Sequence[Record], answering: Sequence[Record], owner: str, still: Still
) -> Iterator[list[Any]]:
    """Base and stages answer the ten questions; who wins by the rule is said when all have answered."""
    first = answering[0].spec
    lines = [*(line for r in records if (line := end(r))), *align_view.sentences(records)]
    try:
        questions = [row.prompt for row in path.prompts(first)]
        wish = {
            "model": first.model, "weights": first.weights, "runs": [r.run_id for r in answering], "prompt": questions[0],
            "more": questions[1:], "max_new_tokens": tasks.of(first).max_new_tokens,
        }  # fmt: skip
        key = lab.jobs.ask(specs.build(SampleSpec, wish), owner).key
    except (QueueFull, ValueError) as error:  # a `SpecError`, or rows that are gone, too
        yield [{"tone": "bad", "lines": [*lines, str(error)]}, *frame(records)]
        return
    for written in live.watch_answer(lab, key, still):
        busy = "" if written.ended else f"Base and stages answer {len(questions)} held-out questions."
        state = {
            "tone": "" if written.ended else "busy",
            "lines": [line for line in (*lines, busy, written.sentence) if line],
        }
        won = align_view.wins(written, answering)
        yield [state, *frame(records, won=won, answers=align_view.asked(written, answering))]


def frame(
    records: Sequence[Record],
    wanted: bool = False,
    won: Any = None,
    answers: dict[str, Any] | None = None,
    is_own: bool = True,
) -> list[Any]:
    """Everything below the status, in the order of the tab's outputs. `is_own`: runs of this lab, not recorded ones."""
    again, judge = can_repeat(records) if is_own else None, judge_of(records) if is_own else None
    return [
        align_view.table(records, won), *align_curves.curves(records), align_view.group(records),
        answers or align_view.on_the_way(records), gr.update(interactive=wanted), gr.update(visible=again is not None),
        gr.update(visible=judge is not None),
    ]  # fmt: skip


def can_repeat(records: Sequence[Record]) -> Record | None:
    """The finished supervised run that TRL's trainer may train once more; None where there is none, or it was asked to already."""
    found = align_curves.of(records, "sft")
    return found if found and found.status == "finished" and not align_curves.of(records, "sft-trl") else None


def judge_of(records: Sequence[Record]) -> Record | None:
    """The reward model on the screen, once it can be asked."""
    found = align_curves.of(records, "reward")
    return found if found and found.status == "finished" else None


def repetition(record: Record) -> RunSpec:
    """The same run by TRL's trainer. Raises `SpecError` where TRL cannot train its method."""
    data = record.spec.model_dump(mode="json", exclude={"start"})
    found: RunSpec = specs.build(RunSpec, {**data, "objective": "sft-trl", "goal": {}})
    return found


def done(records: Sequence[Record]) -> float | None:
    """The share of all steps that is done; None once there is nothing to wait for."""
    if all(r.ended for r in records):
        return None
    total = sum(r.spec.train.steps for r in records) or 1
    return min(1.0, sum(r.spec.train.steps if r.ended else r.steps[-1].step if r.steps else 0 for r in records) / total)


def said(snapshot: live.Snapshot) -> list[str]:
    """How each stage stands, in a sentence."""
    lines = [end(r) for r in snapshot.records if r.ended]
    running = next((r for r in snapshot.records if not r.ended), None)
    if running is not None:
        name = SHORT[running.spec.objective]
        if snapshot.leaving:
            lines.append("Stopping after the step under way.")
        elif snapshot.waiting and not running.steps and running.status == "queued":
            lines.append(f"{name} waits: {snapshot.waiting} before it.")
        else:
            at = running.steps[-1].step if running.steps else 0
            what = align_view.title(running.spec.objective)
            lines.append(f"{name}: {what[0].lower()}{what[1:]}, step {at} of {running.spec.train.steps}.")
    return [line for line in [*lines, *align_view.sentences(snapshot.records)] if line]


def end(record: Record) -> str:
    """How a stage ended."""
    name = SHORT[record.spec.objective]
    if record.status == "finished":
        return f"{name}: done in {record.finished.train_s:.0f} s of training." if record.finished else f"{name}: done."
    return f"{name}: {record.status}. {record.cause} {record.advice}".strip()


def problems(error: SpecError) -> dict[str, str]:
    return {p.field: p.sentence for p in error.problems}
