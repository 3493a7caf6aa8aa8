"""`python -m benchmarks [PART …] [--quick]`: measure and print. RESULTS.md is put together by hand from such runs, each with its
day and what was beside it."""

from __future__ import annotations

import argparse
import platform
from datetime import date

import psutil

from benchmarks import align, calculate, estimate, memory, page, preview, shelf, step, sweep, tokenize

PARTS = {
    "step": step.measure,
    "page": page.measure,
    "runs": shelf.measure,
    "preview": preview.measure,
    "memory": memory.measure,
    "tokenize": tokenize.measure,
    "calculate": calculate.measure,
    "sweep": sweep.measure,
    "estimate": estimate.measure,
    "align": align.measure,
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("part", nargs="*", choices=[[], *PARTS], help="all where none is named")
    options.add_argument("--quick", action="store_true", help="few rounds, to see that it works")
    chosen = options.parse_args()
    memory_gb = psutil.virtual_memory().total / 1e9
    machine = (
        f"{psutil.cpu_count()} cores, {memory_gb:.0f} GB, {platform.machine()}, Python {platform.python_version()}"
    )
    text = [f"# Measured on {date.today()}", "", f"One machine ({machine}), one run, peers in turn, medians."]
    for name in chosen.part or PARTS:
        text += ["", *PARTS[name](chosen.quick)]
    print("\n".join(text))


if __name__ == "__main__":
    main()
