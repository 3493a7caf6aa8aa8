"""A comparison on one page: as HTML, Markdown, CSV and a LaTeX table, with what is needed to have it again. Pure but for `write`."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from experiments import export
from experiments.comparison.intervals import Number
from experiments.comparison.records import Comparison, Metric, Row
from experiments.comparison.spec import describe_train

TEMPLATE = Path(__file__).with_name("report.html.j2")
METHOD = (
    "Each cell: the mean and half of its 95 % interval, over seeds and held-out items together; costs over the seeds; "
    "counted numbers have none. Bold: the best, where it can be told apart from every other. ≈: too close to call against the best "
    "(the paired difference over the same items and seeds holds zero, 95 % for all comparisons of a column together)."
)


@dataclass(frozen=True)
class Cell:
    """One cell of the table: its text, and whether it is the clear best, or too close to the best to call."""

    text: str
    is_best: bool = False
    is_close: bool = False


def cell(found: Comparison, row: Row, metric: Metric) -> Cell:
    """A number as it is written in every form of the table."""
    number = row.numbers.get(metric.key)
    if number is None:
        return Cell("–")
    leads = found.best.get(metric.key) == row.label
    clear = leads and not any(metric.key in other.close for other in found.rows)
    return Cell(written(number, metric.digits), clear, metric.key in row.close or (leads and not clear))


def written(number: Number, digits: int) -> str:
    """`1.234 ± 0.012`; without an interval where the number was counted, with a question mark where it is not known."""
    text = f"{number.mean:,.{digits}f}"
    if number.is_exact:
        return text
    return f"{text} ± {number.half_width:,.{digits}f}" if number.half_width is not None else f"{text} ± ?"


def heads(found: Comparison) -> list[str]:
    return ["Method", "Rate", *(f"{m.label}, {m.unit}" if m.unit else m.label for m in found.metrics)]


def base_cells(found: Comparison) -> list[str]:
    return ["Base", "–", *(written(found.base[m.key], m.digits) if m.key in found.base else "–" for m in found.metrics)]


def rate(row: Row) -> str:
    return f"{row.rate:g}" if row.rate else "–"


def grid(found: Comparison) -> list[tuple[Row, list[Cell]]]:
    """The rows that have numbers, each with a cell a metric, the lowest held-out loss first."""
    here = [row for row in found.rows if row.numbers]
    here.sort(key=lambda row: row.numbers["held_out"].mean if "held_out" in row.numbers else float("inf"))
    return [(row, [cell(found, row, m) for m in found.metrics]) for row in here]


def settings(found: Comparison) -> list[tuple[str, str]]:
    """What is needed to have the comparison again."""
    spec, first = found.spec, found.spec.runs[0]
    made = ", ".join(f"{name} {version}" for name, version in found.made_with.items())
    return [
        ("Model", f"{first.model} ({first.weights})"), ("Task", f"{spec.task.title} ({first.task})"),
        ("Budget", spec.budget.said), ("Training", describe_train(first.train)),
        ("Rates", f"{spec.rates} for each method over its usual range, by successive halving at seed {spec.seeds[0]}"),
        ("Seeds", ", ".join(map(str, spec.seeds))), ("Answers", "greedy, in batches; limits are the task's"),
        ("Machine", f"{platform.machine()}, {platform.system()} {platform.release()}"), ("Made with", made),
        ("Comparison", f"{found.comparison_id}: python -m experiments compare --show {found.comparison_id}"),
    ]  # fmt: skip


def notes(found: Comparison) -> list[str]:
    """What has to be known beside the table: what is left out or failed, a rate at the end of its range."""
    said = [f"{row.label} is left out: {row.note}" for row in found.rows if row.run is None]
    said += [f"{row.label}: {row.note}." for row in found.rows if row.run is not None and row.note]
    said += [f"{row.label} failed at every rate." for row in found.rows if row.state == "failed"]
    for row in found.rows:
        tried = sorted(r for r, _, _ in row.rates)
        if row.rate and len(tried) > 1 and row.rate in (tried[0], tried[-1]):
            end = "lowest" if row.rate == tried[0] else "highest"
            said.append(
                f"{row.label} was best at the {end} rate it tried, {row.rate:g}: another range may be better still."
            )
    return said


def plain(found: Comparison) -> str:
    """The table for a terminal, the verdict and the notes."""
    table = [heads(found), base_cells(found)]
    table += [[row.label, rate(row), *(_marked(c, "≈ ") for c in cells)] for row, cells in grid(found)]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    lines = ["  ".join(text.rjust(w) if i else text.ljust(w) for i, (text, w) in enumerate(zip(line, widths, strict=True)))
             for line in table]  # fmt: skip
    return "\n".join([*lines, "", *filter(None, (found.verdict, *notes(found), found.sentence))])


def _marked(one: Cell, close: str) -> str:
    return (close if one.is_close else "") + one.text


def markdown(found: Comparison) -> str:
    """The whole page as Markdown."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(text.replace("|", "\\|") for text in cells) + " |"

    rows = [
        line([row.label, rate(row), *(f"**{c.text}**" if c.is_best else _marked(c, "≈ ") for c in cells)])
        for row, cells in grid(found)
    ]
    head = heads(found)
    table = [line(head), line(["---", *["---:"] * (len(head) - 1)]), line(base_cells(found)), *rows]
    facts = [f"- {name}: {text}" for name, text in settings(found)]
    said = [f"- {text}" for text in notes(found)]
    title = f"# Comparison: {found.spec.task.title}, {found.budget.said}"
    parts = [title, found.verdict, "\n".join(table), METHOD, "\n".join(said), "## Settings", "\n".join(facts)]
    return "\n\n".join(part for part in parts if part) + "\n"


def csv_text(found: Comparison) -> str:
    """A line a method: each number, its half width and its difference to the best one, with full digits."""
    head = ["method", "settings", "rate", "state"]
    for m in found.metrics:
        head += [m.key, f"{m.key}_half_width", f"{m.key}_against_best", f"{m.key}_against_half_width"]
    lines = []
    for row in found.rows:
        made = row.run.settings.model_dump_json() if row.run else ""
        line: list[object] = [row.label, made, row.rate, row.state]
        for m in found.metrics:
            for number in (row.numbers.get(m.key), row.against.get(m.key)):
                line += [number.mean, number.half_width] if number else [None, None]
        lines.append(line)
    return export.csv_text(head, lines)


def latex(found: Comparison) -> str:
    """A table for booktabs."""
    rows = [
        " & ".join([tex(row.label), tex(rate(row)), *(_tex_cell(c) for c in cells)]) + r" \\"
        for row, cells in grid(found)
    ]
    head, base = (" & ".join(map(tex, line)) + r" \\" for line in (heads(found), base_cells(found)))
    caption = tex(
        f"{found.spec.task.title}, {found.budget.said}, seeds {', '.join(map(str, found.spec.seeds))}. {METHOD}"
    )
    columns = "l" + "r" * (1 + len(found.metrics))
    lines = [
        r"\begin{table}", r"\centering", rf"\caption{{{caption}}}", rf"\begin{{tabular}}{{{columns}}}", r"\toprule", head,
        r"\midrule", base, *rows, r"\bottomrule", r"\end{tabular}", r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


SIGNS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "≈": r"$\approx$", "–": "--", "−": "$-$",
    "²": r"$^2$", "³": r"$^3$", "\u2060": "", "\u202f": r"\,",
}  # fmt: skip


def tex(text: str) -> str:
    """The text with LaTeX's own signs written out."""
    return "".join(SIGNS.get(sign, sign) for sign in text)


def _tex_cell(one: Cell) -> str:
    text = tex(_marked(one, "≈ "))
    return rf"\textbf{{{text}}}" if one.is_best else text


def html(found: Comparison) -> str:
    """The whole page as HTML without a script, every text escaped."""
    from jinja2 import Environment

    page = Environment(autoescape=True).from_string(TEMPLATE.read_text("utf8"))
    return page.render(
        found=found, heads=heads(found), base=base_cells(found), grid=grid(found), rate=rate, settings=settings(found),
        notes=notes(found), method=METHOD, title=f"{found.spec.task.title}, {found.budget.said}",
    )  # fmt: skip


FORMS: dict[str, Callable[[Comparison], str]] = {"html": html, "md": markdown, "csv": csv_text, "tex": latex}
"""The forms a report has, by the ending of the file."""


def write(found: Comparison, folder: Path) -> list[Path]:
    """Every form of the report in this folder; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for ending, form in FORMS.items():
        files.append(folder / f"report.{ending}")
        files[-1].write_text(form(found), "utf8", newline="")
    return files
