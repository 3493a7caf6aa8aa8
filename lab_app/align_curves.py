"""The curves of the Align tab: what each objective tells a step, three charts of the stages on the screen, and what they say in a
sentence. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from experiments import path
from experiments.analysis import Record
from lab_app.charts import point

SHOWN = 3
FELL = (
    "The better answer's own log-probability fell, too, from {first:.0f} to {last:.0f} nats: {name} trains the distance between the two, "
    "and the worse answer fell further, from {worse_first:.0f} to {worse_last:.0f}."
)
ROSE = (
    "The better answer's log-probability went from {first:.0f} to {last:.0f} nats, the worse one's from {worse_first:.0f} to "
    "{worse_last:.0f}: only the distance is trained, and on other data both often fall."
)
SHORT = {"sft": "SFT", "sft-trl": "SFT, TRL", "dpo": "DPO", "kto": "KTO", "reward": "Reward model", "grpo": "GRPO"}
"""What a stage is called where there is little room."""


@dataclass(frozen=True)
class Chart:
    """One chart of an objective: its title, and each line's measure ("loss" is the loss) with its label and its ink."""

    title: str
    lines: Mapping[str, tuple[str, str]]


BOTH = Chart(
    "log-probability of the better and the worse answer, in nats",
    {"chosen_logp": ("better answer", "chosen"), "rejected_logp": ("worse answer", "rejected")},
)
CHARTS: Mapping[str, tuple[Chart, ...]] = {
    "sft": (Chart("loss of the shown answers, in nats a token", {"loss": ("training loss", "sft")}),),
    "dpo": (
        BOTH,
        Chart("share of pairs in which the better answer gained more", {"accuracy": ("accuracy", "dpo")}),
        Chart("loss, and how much more the better answer gained, times β",
              {"loss": ("loss", "dpo"), "margin": ("margin", "chosen")}),
    ),
    "kto": (
        BOTH,
        Chart("loss, and how much more good answers gained, times β", {"loss": ("loss", "kto"), "margin": ("margin", "chosen")}),
        Chart("drift from the start, in nats an answer", {"kl": ("drift (KL)", "kto")}),
    ),
    "reward": (
        Chart("share of pairs told apart", {"accuracy": ("accuracy", "reward")}),
        Chart("margin of the better answer",
              {"margin": ("margin", "chosen"), "mean_reward": ("mean score", "base")}),
        Chart("loss, training and held-out", {"loss": ("loss", "reward")}),
    ),
    "grpo": (
        Chart("what an answer was paid on average, and how much the pay differed",
              {"reward": ("reward", "grpo"), "reward_std": ("its spread", "base")}),
        Chart("tokens an answer", {"length": ("length", "grpo")}),
        Chart("drift from the start (where KL has a weight), and share of answers cut",
              {"kl": ("drift (KL)", "grpo"), "cut": ("cut", "base")}),
    ),
}  # fmt: skip


def of(records: Sequence[Record], objective: str) -> Record | None:
    """The last stage with this objective, as far as it was asked for."""
    return next((r for r in reversed(records) if r.spec.objective == objective), None)


def stages(records: Sequence[Record]) -> list[Record]:
    """The runs without TRL's repetition of one of them, which is drawn over that one."""
    return [r for r in records if r.spec.objective != "sft-trl" or of(records, "sft") is None]


def curves(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Three charts: one for each of the last three stages; what is left over shows more of the last stage."""
    own = stages(records)[-SHOWN:]
    found = [_chart(r, _charts(r)[0], of(records, "sft-trl")) for r in own]
    found += [_chart(own[-1], chart) for chart in _charts(own[-1])[1:]] if own else []
    found += [empty(f"{SHORT[objective]}: {CHARTS[objective][0].title}") for objective in path.STAGES if not own]
    return [*found, *[empty()] * SHOWN][:SHOWN]


def _charts(record: Record) -> tuple[Chart, ...]:
    return CHARTS["sft" if record.spec.objective == "sft-trl" else record.spec.objective]


def _chart(record: Record, chart: Chart, again: Record | None = None) -> dict[str, Any]:
    series = [_line(record, measure, *line) for measure, line in chart.lines.items()]
    if again and record.spec.objective == "sft":
        series.append(_line(again, "loss", "TRL's trainer", "rejected"))
    title = f"{SHORT[record.spec.objective]}: {chart.title}"
    return {
        **empty(title),
        "view": f"{record.run_id}.{record.attempt}.{title}",
        "steps": record.spec.train.steps,
        "series": series,
    }


def empty(title: str = "") -> dict[str, Any]:
    """A chart of nothing yet."""
    return {"view": title, "title": title, "steps": 1, "base": None, "series": []}


def _line(record: Record, measure: str, label: str, ink: str) -> dict[str, Any]:
    return {
        "id": f"{record.run_id}.{record.attempt}.{measure}", "name": label, "method": ink, "nth": 0,
        "d": _packed(record, measure), "h": _held_out(record) if measure == "loss" and ink != "rejected" else "",
    }  # fmt: skip


def _packed(record: Record, measure: str) -> str:
    """A loss that is no number is a gap; a step that does not tell a measure (a batch of KTO without a thumb down) is passed over."""
    values = [(s, s.loss if measure == "loss" else (s.measures or {}).get(measure)) for s in record.steps]
    return "".join(
        point(s.step, s.tokens, s.train_s, value) for s, value in values if value is not None or measure == "loss"
    )


def _held_out(record: Record) -> str:
    """Held-out losses, where they are of the same kind as the training loss: of imitation and of reward models."""
    if record.spec.objective not in ("sft", "sft-trl", "reward"):
        return ""
    found = []
    for look in record.held_out:
        at = next((s for s in reversed(record.steps) if s.step <= look.step), None)
        tokens, seconds = (at.tokens, at.train_s) if at and look.step else (0, 0.0)
        found.append(point(look.step, tokens, seconds, look.held_out_loss))
    return "".join(found)


def both_fall(records: Sequence[Record]) -> str:
    """One sentence on what a preference did to the probabilities themselves: means over the first and the last steps."""
    found = of(records, "dpo") or of(records, "kto")
    told = (
        [m for s in found.steps if (m := s.measures) and {"chosen_logp", "rejected_logp"} <= m.keys()] if found else []
    )
    if found is None or len(told) < 10:
        return ""
    quarter = len(told) // 4
    means = {
        f"{side}{when}": sum(m[name] for m in part) / len(part)
        for side, name in (("", "chosen_logp"), ("worse_", "rejected_logp"))
        for when, part in (("first", told[:quarter]), ("last", told[-quarter:]))
    }
    fell = means["last"] < means["first"] and means["worse_last"] < means["worse_first"]
    return (FELL if fell else ROSE).format(**means, name=SHORT[found.spec.objective])


def same_curve(records: Sequence[Record]) -> str:
    """How far the loss of TRL's trainer is from ours at any step of the same run; empty until both have one."""
    ours, theirs = of(records, "sft"), of(records, "sft-trl")
    if ours is None or theirs is None:
        return ""
    mine = {s.step: s.loss for s in ours.steps}
    gaps = [
        (abs(s.loss - loss), s.step)
        for s in theirs.steps
        if s.loss is not None and (loss := mine.get(s.step)) is not None
    ]
    if not gaps:
        return ""
    gap, step = max(gaps)
    so_far = "" if theirs.ended else " so far"
    return (
        f"TRL's SFTTrainer on the same rows in the same order: of {len(gaps)} steps{so_far} the largest difference of a step's loss is "
        f"{gap:.2g} nats, at step {step}."
    )
