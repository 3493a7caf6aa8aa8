"""What the Align tab draws of the path's runs: curves of each stage, its table, its answers, what was tried and paid. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments import objectives, path
from experiments.analysis import Record
from experiments.catalog import tasks
from experiments.objectives import OBJECTIVES
from lab_app import live, tables
from lab_app.charts import point
from lab_app.tables import column, shown, span

SHORT = {"sft": "SFT", "dpo": "DPO", "grpo": "GRPO"}
FELL = (
    "The better answer's own log-probability fell, too, from {first:.0f} to {last:.0f} nats: DPO trains the distance between the two, "
    "and the worse answer fell further, from {worse_first:.0f} to {worse_last:.0f}."
)
ROSE = (
    "The better answer's log-probability went from {first:.0f} to {last:.0f} nats, the worse one's from {worse_first:.0f} to "
    "{worse_last:.0f}: only the distance is trained, and on other data both often fall."
)


def of(records: Sequence[Record], objective: str) -> Record | None:
    """The stage with this objective, as far as it was asked for."""
    return next((r for r in records if r.spec.objective == objective), None)


def curves(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Three charts: the loss of imitation, both log-probabilities of preference, the reward."""
    sft, dpo, grpo = (of(records, objective) for objective in path.STAGES)
    return [
        _chart(sft, "SFT: loss of the shown answers, in nats a token", {"loss": ("training loss", "sft")}),
        _chart(
            dpo, "DPO: log-probability of the better and the worse answer, in nats",
            {"chosen_logp": ("better answer", "chosen"), "rejected_logp": ("worse answer", "rejected")},
        ),
        _chart(grpo, "GRPO: what an answer was paid on average, and how much the pay differed",
               {"reward": ("reward", "grpo"), "reward_std": ("its spread", "base")}),
    ]  # fmt: skip


def _chart(record: Record | None, title: str, lines: dict[str, tuple[str, str]]) -> dict[str, Any]:
    run = f"{record.run_id}.{record.attempt}" if record else ""
    series = [
        {
            "id": f"{run}.{name}",
            "name": label,
            "method": ink,
            "nth": 0,
            "d": _packed(record, name),
            "h": _held_out(record, name),
        }
        for name, (label, ink) in lines.items()
    ]
    steps = record.spec.train.steps if record else 1
    return {"view": run, "title": title, "steps": steps, "base": None, "series": series if record else []}


def _packed(record: Record | None, name: str) -> str:
    steps = record.steps if record else []
    values = [(s, s.loss if name == "loss" else (s.measures or {}).get(name)) for s in steps]
    return "".join(point(s.step, s.tokens, s.train_s, value) for s, value in values)


def _held_out(record: Record | None, name: str) -> str:
    if record is None or name != "loss":
        return ""
    found = []
    for look in record.held_out:
        at = next((s for s in reversed(record.steps) if s.step <= look.step), None)
        tokens, seconds = (at.tokens, at.train_s) if at and look.step else (0, 0.0)
        found.append(point(look.step, tokens, seconds, look.held_out_loss))
    return "".join(found)


def both_fall(records: Sequence[Record]) -> str:
    """One sentence on what DPO did to the probabilities themselves: means over the first and the last steps."""
    dpo = of(records, "dpo")
    told = [s.measures for s in dpo.steps if s.measures and "chosen_logp" in s.measures] if dpo else []
    if len(told) < 10:
        return ""
    tenth = max(len(told) // 4, 1)
    means = {
        f"{side}{when}": sum(m[name] for m in part) / len(part)
        for side, name in (("", "chosen_logp"), ("worse_", "rejected_logp"))
        for when, part in (("first", told[:tenth]), ("last", told[-tenth:]))
    }
    return (FELL if means["last"] < means["first"] else ROSE).format(**means)


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
    task = tasks.find(records[0].spec.task) if records else None
    metrics = task.metrics if task else ()
    columns = [
        column("stage", number=False), column("state", number=False),
        column("wins against the base", "of ten", "Prompts on which the rule of the task pays its answer more than the base's; ties are "
               "left out. Behind it where the share lies with 95 % certainty (Wilson).", number=False),
        *(column(m.label.lower(), m.unit, f"{m.help} Base → this stage.") for m in metrics),
        column("forgetting", "nats a token", "Rise of the loss on general text. Above 0: something was forgotten."),
        column("step time", "s", "Mean time of a training step after the first."),
        column("against SFT", "×", "Step time against the SFT stage's."),
        column("peak memory", "MB", "The most memory the run needed."),
    ]  # fmt: skip
    first = of(records, "sft")
    rows = [{"method": r.spec.objective, "cells": _cells(r, first, metrics, won or {})} for r in records]
    return {"caption": "What each stage brought and took", "columns": columns, "rows": rows}


def _cells(record: Record, first: Record | None, metrics: Sequence[tasks.Metric], won: Won) -> list[str]:
    against = first.seconds_per_step if first else None
    ratio = record.seconds_per_step / against if record.seconds_per_step and against else None
    return [
        SHORT[record.spec.objective],
        tables.state(record),
        _won(won.get(record.run_id)),
        *(span(record.metric("base", m.key), record.metric("tuned", m.key), 0) for m in metrics),
        tables.NONE if record.forgetting is None else f"{round(record.forgetting, 2) or 0.0:+.2f}",
        shown(record.seconds_per_step, 2),
        shown(ratio, 1),
        shown(record.finished.peak_mb if record.finished else None),
    ]


def _won(wins: path.Wins | None) -> str:
    if wins is None:
        return tables.NONE
    if wins.low is None or wins.high is None:
        return f"all {wins.tied} tied"
    tied = f", {wins.tied} tied" if wins.tied else ""
    return f"{wins.won} of {wins.decided}{tied} ({100 * wins.low:.0f} to {100 * wins.high:.0f} %)"


def wins(written: live.Written, records: Sequence[Record]) -> Won:
    """Each stage's answers against the base's, once all are written."""
    if not written.ended or not records or written.sentence:
        return {}
    task, columns = records[0].spec.task, list(zip(*([said.text for said in row] for row in written.rows), strict=True))
    rows = path.prompts(task)
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
    rows = [{"method": o.key, "cells": [o.title, o.summary, o.needs, o.when]} for o in OBJECTIVES if o.key != "sft-trl"]
    return {"caption": "In plain words", "columns": columns, "rows": rows}


def cheat(rule: Any) -> str:
    """What a rule can be cheated by, in one sentence."""
    return f"{rule.title}: {rule.help} It can be cheated: {rule.cheat[0].lower()}{rule.cheat[1:]}"


def title(objective: str) -> str:
    return objectives.find(objective).title
