"""A run as files for elsewhere, and a spec read back from one.

The curve as CSV, the events as JSON lines, the spec as YAML, the adapter as a zip of what PEFT saved, answers as CSV or
Markdown. A text cell that a spreadsheet would take for a formula is given as text. Whoever calls decides who may have what.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from experiments import specs
from experiments.analysis import Record
from experiments.specs import Problem, RunSpec, SpecError
from experiments.store import Row

FORMATS = {"csv": "csv", "jsonl": "jsonl", "yaml": "yaml", "adapter": "zip"}
"""What a run is exported as, and the ending of the file."""
SPEC_LIMIT = 64_000
MOST_SPECS = 20
ADAPTER_FILES = (
    "adapter_config.json",
    "adapter_model.safetensors",
    "trained.safetensors",
    "method.json",
    "base.json",
    "mix.json",
    "README.md",
)
FORMULA = re.compile(r"^[\s\x00]*[=+\-@\t\r]")


class NothingToExport(ValueError):
    """The run has no such file; the sentence says why."""


def cell(value: Any) -> Any:
    """A value for a CSV cell. A text that a spreadsheet would calculate gets an apostrophe before it (OWASP, CSV injection), and
    NUL, which no CSV can hold, becomes U+FFFD."""
    if isinstance(value, str):
        value = value.replace("\0", "\ufffd")
    if isinstance(value, str) and (FORMULA.match(value) or value[:1] in ("\t", "\r", "\n")):
        return "'" + value
    return "" if value is None else value


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A CSV as RFC 4180 has it, every text cell safe to open in a spreadsheet."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([cell(h) for h in header])
    writer.writerows([cell(v) for v in row] for row in rows)
    return out.getvalue()


def curve_csv(record: Record) -> str:
    """One line a step with what was measured there; held-out values stand on the steps at which there was a look."""
    looks = {look.step: look for look in record.held_out}
    steps = {step.step: step for step in record.steps}
    metrics = list(dict.fromkeys(name for look in record.held_out for name in look.metrics or {}))
    header = ["step", "loss", "gradient_norm", "learning_rate", "tokens", "train_s", "held_out_loss", "general_loss"]
    rows = []
    for at in sorted({*looks, *steps}):
        step, look = steps.get(at), looks.get(at)
        own = [step.loss, step.gradient_norm, step.learning_rate, step.tokens, step.train_s] if step else [None] * 5
        seen = [look.held_out_loss, look.general_loss] if look else [None] * 2
        rows.append([at, *own, *seen, *((look.metrics or {}).get(m) if look else None for m in metrics)])
    return csv_text([*header, *metrics], rows)


def events_jsonl(rows: Iterable[Row]) -> Iterator[str]:
    """One JSON object a line and event: its number, its Unix time, its kind and what it tells."""
    for row in rows:
        event = row.event.model_dump(mode="json")
        yield json.dumps({"seq": row.seq, "time_s": row.time_s, **event}, ensure_ascii=False) + "\n"


def spec_yaml(spec: RunSpec) -> str:
    """The spec as YAML; `read_specs` gives the same spec, and so the same run, back."""
    return yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def adapter_zip(folder: Path, out: BinaryIO, base: str) -> int:
    """Write the adapter's files as a zip into `out`, piece by piece; how many there were. Only files PEFT or the lab write.

    `base` is the name of the base model: PEFT wrote the path it had on this machine. Raises `NothingToExport`.
    """
    found = [folder / name for name in ADAPTER_FILES]
    found = [file for file in found if file.is_file() and not file.is_symlink()]
    if not found:
        raise NothingToExport("This run has no adapter on this machine any more.")
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        path = _base_path(folder / "adapter_config.json")
        for file in found:
            if file.suffix == ".safetensors":
                archive.write(file, file.name)
            else:
                text = file.read_text("utf8")
                archive.writestr(file.name, text.replace(path, base) if path else text)
    return len(found)


def _base_path(config: Path) -> str:
    """The base model's path as PEFT wrote it, "" where there is none."""
    if not config.is_file():
        return ""
    return str(json.loads(config.read_text("utf8")).get("base_model_name_or_path") or "")


# Answers side by side: `columns` are names, each row a prompt and an answer for each column


def answers_csv(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    return csv_text(["prompt", *columns], ([prompt, *answers] for prompt, answers in rows))


def answers_markdown(columns: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """A Markdown table; what was typed or generated stays text in it."""
    lines = ["| " + " | ".join(map(_plain, ["prompt", *columns])) + " |", "|" + "---|" * (1 + len(columns))]
    lines += ["| " + " | ".join(map(_plain, [prompt, *answers])) + " |" for prompt, answers in rows]
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    """A text inside a Markdown table: no markup, no HTML, one line."""
    escaped = re.sub(r"([\\`*_{}\[\]()#+!|~$:@-])", r"\\\1", text.strip())
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"\s*[\r\n\x0b\x0c\x85\u2028\u2029]+\s*", " <br> ", escaped)


# Reading a spec


class _Loader(yaml.SafeLoader):
    """Safe YAML without references: a few of them in each other would make a small file huge."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise yaml.YAMLError("references (*name) are not read")
        return super().compose_node(parent, index)


def read_specs(content: str | bytes) -> list[RunSpec]:
    """The specs in a YAML or JSON text: one, a list, or what `run --json` printed. Raises `SpecError`."""
    try:
        return [specs.build(RunSpec, data) for data in parse_specs(content)]
    except RecursionError:
        raise _refused("This spec is nested too deeply.") from None


def parse_specs(content: str | bytes) -> list[dict[str, Any]]:
    """The same, not validated yet. Raises `SpecError` where there is no spec in it at all."""
    if len(content) > SPEC_LIMIT:
        raise _refused(f"A file of specs has at most {SPEC_LIMIT // 1000} KB; this one has more.")
    try:
        text = content.decode("utf-8-sig") if isinstance(content, bytes) else content.removeprefix("\ufeff")
        data = yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader; JSON is YAML, too
    except UnicodeDecodeError:
        raise _refused("This file is not a text in UTF-8.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        raise _refused(f"This is neither YAML nor JSON{f': see line {mark.line + 1}' if mark else ''}.") from None
    found = data["runs"] if isinstance(data, dict) and isinstance(data.get("runs"), list) else data
    found = found if isinstance(found, list) else [found]
    if not found or len(found) > MOST_SPECS:
        raise _refused(f"A file holds one to {MOST_SPECS} specs.")
    return [_spec(one) for one in found]


def _spec(data: Any) -> dict[str, Any]:
    if isinstance(data, dict) and isinstance(data.get("spec"), dict):
        data = data["spec"]
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise _refused("A spec is a list of names with values, such as “method: lora”.")
    return data


def _refused(sentence: str) -> SpecError:
    return SpecError([Problem("spec", sentence)])
