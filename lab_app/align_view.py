"""What the Align tab draws of its runs beside the curves: the table, what was tried and paid, answers, what a reward model likes.
Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments import advice, objectives, path, rewards
from experiments.analysis import Record
from experiments.catalog import tasks
from experiments.objectives import OBJECTIVES
from experiments.specs import RunSpec
from lab_app import live, tables
from lab_app.align_curves import SHORT, both_fall, of, same_curve, stages
from lab_app.tables import column, shown, span

LIKES_LONG = 0.3  # rank correlation of score and length from which a bias is said


def group(records: Sequence[Record]) -> dict[str, Any]:
    """The newest group of answers that GRPO tried, where it can be one that was not paid alike."""
    grpo = of(records, "grpo")
    if grpo is None or not grpo.groups:
        return {}
    last = next((g for g in reversed(grpo.groups) if len(set(g.rewards)) > 1), grpo.groups[-1])
    told = zip(last.answers, last.rewards, last.advantages, strict=True)
    answers = [
        {"text": text, "reward": shown(reward, 2), "advantage": round(advantage, 3)} for text, reward, advantage in told
    ]
    return {"step": last.step, "prompt": last.prompt, "answers": answers}


Won = dict[str, path.Wins]


def table(records: Sequence[Record], won: Won | None = None) -> dict[str, Any]:
    """One row a stage: what it brought on held-out pairs and answers, what it forgot, what it took."""
    known = tasks.metrics(records[0].spec) if records else ()
    metrics = [m for m in known if any(m.key in (look.metrics or {}) for r in records for look in r.held_out)] or known
    columns = [
        column("stage", number=False), column("state", number=False),
        column("wins against the base", "of ten", "Prompts on which the rule of the task pays its answer more than the base's; ties are "
               "left out. Behind it where the share lies with 95 % certainty (Wilson).", number=False),
        *(column(m.label.lower(), m.unit, f"{m.help} Base → this stage.") for m in metrics),
        column("forgetting", "nats a token", "Rise of the loss on general text. Above 0: something was forgotten."),
        column("step time", "s", "Mean time of a training step after the first."),
        column("against SFT", "×", "Step time against the SFT stage's."),
        column("peak memory", "MB", "The most memory the run needed."),
        column("against SFT", "× memory", "Peak memory against the SFT stage's."),
    ]  # fmt: skip
    first = of(records, "sft")
    rows = [{"method": r.spec.objective, "cells": _cells(r, first, metrics, won or {})} for r in records]
    return {"caption": "What each stage brought and took", "columns": columns, "rows": rows}


def _cells(record: Record, first: Record | None, metrics: Sequence[tasks.Metric], won: Won) -> list[str]:
    return [
        SHORT[record.spec.objective],
        tables.state(record),
        _won(won.get(record.run_id)),
        *(span(record.metric("base", m.key), record.metric("tuned", m.key), 0) for m in metrics),
        tables.NONE if record.forgetting is None else f"{round(record.forgetting, 2) or 0.0:+.2f}",
        shown(record.seconds_per_step, 2),
        shown(_times(record.seconds_per_step, first.seconds_per_step if first else None), 1),
        shown(_peak_mb(record)),
        shown(_times(_peak_mb(record), _peak_mb(first) if first else None), 2),
    ]


def _peak_mb(record: Record) -> float | None:
    return record.finished.peak_mb if record.finished else None


def _times(value: float | None, against: float | None) -> float | None:
    return value / against if value and against else None


def _won(wins: path.Wins | None) -> str:
    if wins is None:
        return tables.NONE
    if wins.low is None or wins.high is None:
        return f"all {wins.tied} tied"
    tied = f", {wins.tied} tied" if wins.tied else ""
    return f"{wins.won} of {wins.decided}{tied} ({100 * wins.low:.0f} to {100 * wins.high:.0f} %)"


def answering(records: Sequence[Record]) -> list[Record]:
    """The finished stages that can be asked: a reward model gives no answers, and TRL's repetition says the same again."""
    return [r for r in stages(records) if r.status == "finished" and not objectives.find(r.spec.objective).scores]


def wins(written: live.Written, records: Sequence[Record]) -> Won:
    """Each stage's answers against the base's, once all are written; none where no rule says what the task means by better."""
    if not written.ended or not records or written.sentence or records[0].spec.task not in path.PAID:
        return {}
    columns = list(zip(*([said.text for said in row] for row in written.rows), strict=True))
    task, rows = records[0].spec.task, path.prompts(records[0].spec)
    return {r.run_id: path.wins(task, rows, columns[0], said) for r, said in zip(records, columns[1:], strict=True)}


def asked(written: live.Written, records: Sequence[Record]) -> dict[str, Any]:
    """The ten prompts, each answered by the base and every stage."""
    heads = [("base", "base"), *((SHORT[r.spec.objective], r.spec.objective) for r in records)]
    return {"cards": [
        {"prompt": prompt, "note": "", "columns": [
            tables.answer(name, ink, said.text, "", row[0].text if i else None)
            for i, ((name, ink), said) in enumerate(zip(heads, row, strict=True))
        ]}
        for prompt, row in zip(written.spec.prompts, written.rows, strict=True)
    ]}  # fmt: skip


def on_the_way(records: Sequence[Record]) -> dict[str, Any]:
    """What base and stages said to the task's own prompts so far."""
    cards = []
    for prompt in dict.fromkeys(a.prompt for r in records for s in r.samples for a in s.answers):
        base = next(
            (
                a.answer
                for r in records
                for s in r.samples
                if s.subject == "base"
                for a in s.answers
                if a.prompt == prompt
            ),
            None,
        )
        columns = [] if base is None else [tables.answer("base", "base", base)]
        for r in records:
            said = [
                (s.step, a.answer) for s in r.samples if s.subject == "tuned" for a in s.answers if a.prompt == prompt
            ]
            if said:
                columns.append(
                    tables.answer(SHORT[r.spec.objective], r.spec.objective, said[-1][1], f"step {said[-1][0]}", base)
                )
        cards.append({"prompt": prompt, "note": "", "columns": columns})
    return {"cards": cards}


def plain_words() -> dict[str, Any]:
    """The card of all objectives: what each needs and when to use it."""
    columns = [column("objective", number=False), column("what happens", number=False), column("data it needs", number=False),
               column("when to use it", number=False)]  # fmt: skip
    rows = [{"method": o.key, "cells": [o.title, o.summary, o.needs, o.when]} for o in OBJECTIVES]
    return {"caption": "In plain words", "columns": columns, "rows": rows}


def sentences(records: Sequence[Record]) -> list[str]:
    """What the curves and looks of these runs say, each in a sentence."""
    judge, grpo = of(records, "reward"), of(records, "grpo")
    said = [both_fall(records), same_curve(records), *(judged(judge) if judge else [])]
    said += [payer(grpo.spec), *(found.sentence for found in advice.unending(grpo))] if grpo and grpo.ended else []
    return [line for line in said if line]


def judged(record: Record) -> list[str]:
    """What a finished reward model makes of held-out pairs, and whether it merely likes long answers."""
    look = (record.tuned.metrics or {}) if record.tuned and record.status == "finished" else {}
    if "prefers" not in look:
        return []
    found = [
        f"The reward model scores the better answer of {look['prefers']:.0f} % of the held-out pairs higher; 50 is chance."
    ]
    if (bias := look.get("length_bias")) is None:
        return found
    likes = (
        "It likes long answers"
        if bias > LIKES_LONG
        else "It likes short answers"
        if bias < -LIKES_LONG
        else "Length hardly counts"
    )
    said = f"{likes}: score and length of those answers have a rank correlation of {bias:+.2f}"
    if {"prefers_longer", "longer_is_better"} <= look.keys():
        said += (
            f", and it scores the longer of two higher in {look['prefers_longer']:.0f} % of the pairs; "
            f"it is the better one in {look['longer_is_better']:.0f} %"
        )
    return [*found, said + "."]


def payer(spec: RunSpec) -> str:
    """What paid a run's answers, in one sentence."""
    goal: Any = spec.goal
    if not goal.judge:
        return ""
    if goal.reward == "none":
        return f"Its answers were paid by the reward model {goal.judge} alone."
    rule, share = rewards.find(goal.reward), 100 * goal.judge_weight
    return f"Its answers were paid by the reward model {goal.judge} ({share:.0f} %) and the rule “{rule.title}” ({100 - share:.0f} %)."


def cheat(key: str) -> str:
    """What a rule can be cheated by, in one sentence."""
    if key == "none":
        return "A reward model alone pays. It can be cheated, too: by whatever else the answers it liked had in common, length first."
    rule = rewards.find(key)
    return f"{rule.title}: {rule.help} It can be cheated: {rule.cheat[0].lower()}{rule.cheat[1:]}"


def title(objective: str) -> str:
    return objectives.find(objective).title
