"""A comparison's runs as files in the layout of PEFT's `method_comparison` results: one JSON file a run with `run_info`, `train_info` and
`meta_info` (huggingface/peft, method_comparison/MetaMathQA/utils.py, `log_results`, and the files under its `results`).

Read by their `processing.py` as they stand. What differs: the memory is that of the process on a CPU; `test accuracy` is the share
of the task's first metric, 0 to 1, and `forgetting` the loss on general text, tuned minus base, as there; what the lab does not have
(a model's date on the hub, a split of memory into reserved and allocated) is null or stands in for its neighbour, never made up.
"""

from __future__ import annotations

import json
import platform
import re
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from experiments import analysis, events
from experiments.analysis import Record
from experiments.catalog import tasks
from experiments.comparison.records import Comparison
from experiments.store import Store

PACKAGES = ("transformers", "peft", "datasets", "bitsandbytes", "torch")
ADAPTER_CONFIG = "adapter_config.json"


def write(store: Store, found: Comparison, home: Path, folder: Path) -> list[Path]:
    """A file for every finished seed of every method; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for row in found.rows:
        for seed in row.seeds:
            record = analysis.load(store, seed.run_id) if seed.status == "finished" else None
            if record is None:
                continue
            said = result(record, row.label, home, _created(store, record))
            name = said["run_info"]["experiment_name"].replace("/", "--")
            files.append(folder / f"{name}.json")
            files[-1].write_text(json.dumps(said, indent=2) + "\n", "utf8")
    return files


def _created(store: Store, record: Record) -> float:
    entry = store.entry(record.run_id, record.attempt)
    return entry.created_s if entry else 0.0


def result(record: Record, label: str, home: Path, created_s: float) -> dict[str, Any]:
    """One finished run as PEFT's comparison writes it."""
    started, finished = record.started, record.finished
    assert started is not None and finished is not None
    peak_bytes = int((finished.peak_mb or 0.0) * 1e6)
    method = re.sub(r"[^A-Za-z0-9_.-]+", "_", record.spec.method)
    name = re.sub(
        r"[^\w.-]+", "-", f"{record.spec.model}-{label}-lr_{record.spec.train.learning_rate:g}-seed{record.spec.seed}"
    )
    return {
        "run_info": {
            "created_at": datetime.fromtimestamp(created_s, timezone.utc).isoformat(timespec="seconds"),
            "total_time": finished.elapsed_s,
            "experiment_name": f"{method}/{name}",
            "peft_branch": None,
            "train_config": _train_config(record),
            "peft_config": _peft_config(record, home),
            "error_msg": "",
        },
        "train_info": {
            "accelerator_memory_reserved_avg": peak_bytes,
            "accelerator_memory_max": peak_bytes - int(started.resting_mb * 1e6),
            "accelerator_memory_reserved_99th": peak_bytes,
            "train_time": finished.train_s,
            "file_size": finished.adapter_bytes,
            "num_trainable_params": started.trainable,
            "num_total_params": started.total,
            "status": "success",
            "metrics": _metrics(record),
        },
        "meta_info": {
            "model_info": {"sha": record.spec.weights, "created_at": None},
            "dataset_info": {record.spec.task: {"sha": None, "created_at": None}},
            "package_info": _packages(started),
            "system_info": {
                "system": platform.system(), "release": platform.release(), "version": platform.version(),
                "machine": platform.machine(), "processor": platform.processor(), "accelerator": started.device,
            },
            "pytorch_info": f"torch {started.versions.get('torch', '')}, {started.threads} threads",
        },
    }  # fmt: skip


def _train_config(record: Record) -> dict[str, Any]:
    spec, train = record.spec, record.spec.train
    task = tasks.of(spec)
    how = record.tuned.generation if record.tuned else None
    return {
        "model_id": spec.model, "dtype": "float32", "max_seq_length": task.max_length,
        "batch_size": train.batch_size * train.accumulate, "batch_size_eval": how.batch if how else 0,
        "max_steps": train.steps, "eval_steps": max(1, train.steps // train.looks), "compile": False, "use_gc": False,
        "query_template": "{query}", "seed": spec.seed, "grad_norm_clip": train.clip, "optimizer_type": "AdamW",
        "optimizer_kwargs": {"lr": train.learning_rate, "weight_decay": train.weight_decay},
        "lr_scheduler": train.schedule if train.schedule != "constant" else None, "use_amp": False,
        "autocast_adapter_dtype": True,
        "generation_kwargs": {"max_new_tokens": how.max_new_tokens, "do_sample": how.temperature > 0} if how else {},
        "attn_implementation": None,
    }  # fmt: skip


def _peft_config(record: Record, home: Path) -> dict[str, Any] | None:
    """PEFT's own config of the adapter; of a method that is not PEFT's its name and settings; None for full fine-tuning, as there."""
    if record.spec.method == "full":
        return None
    finished = record.finished
    file = home / finished.adapter_path / ADAPTER_CONFIG if finished and finished.adapter_path else None
    if file is not None and file.is_file():
        found: dict[str, Any] = json.loads(file.read_text("utf8"))
        return {**found, "base_model_name_or_path": record.spec.model}
    return {"peft_type": record.spec.method.upper().replace("-", "_"), **record.spec.settings.model_dump(mode="json")}


def _metrics(record: Record) -> list[dict[str, Any]]:
    """A line a look, as their lines of validation are, and the line of the test at the end."""
    rows, found = record.spec.train.batch_size * record.spec.train.accumulate, []
    for look in record.held_out:
        if look.step == 0:
            continue
        here = [s for s in record.steps if s.step <= look.step]
        found.append({
            "step": look.step, "valid loss": look.held_out_loss, "train loss": _mean_loss(here),
            "train samples": look.step * rows, "train time": here[-1].train_s if here else 0.0, "eval time": look.elapsed_s,
            "tokens / sec": here[-1].tokens / here[-1].train_s if here and here[-1].train_s else 0.0,
        })  # fmt: skip
    last, first_metric = record.steps[-1] if record.steps else None, tasks.find(record.spec.task).metrics[0]
    score = record.metric("tuned", first_metric.key)
    found.append({
        "step": last.step if last else 0, "test accuracy": score / 100 if score is not None else None,
        "train loss": _mean_loss(record.steps), "train samples": (last.step if last else 0) * rows,
        "train total tokens": last.tokens if last else 0, "forgetting": record.forgetting,
    })  # fmt: skip
    return found


def _mean_loss(steps: list[events.Stepped]) -> float | None:
    """Over the last ten steps."""
    told = [s.loss for s in steps[-10:] if s.loss is not None]
    return sum(told) / len(told) if told else None


def _packages(started: events.Started) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for package in PACKAGES:
        found[f"{package}-version"] = started.versions.get(package) or _version(package)
        found[f"{package}-commit-hash"] = None
    return found


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
