"""Machines to train on: what they hold, what they compute by their makers' sheets, and what an hour of them costs.

Rates are dense matrix products, without the sparsity that the sheets also quote. Prices are of the order of what renting
costs in 2026 and change by the month: the page lets a reader type another.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """`memory_gb` in 10⁹ bytes; rates in 10¹² operations a second, `half` in bf16 (fp16 where there is no bf16);
    `utilisation` is the share of it that training reaches in practice."""

    key: str
    title: str
    memory_gb: float
    tflops: float
    half_tflops: float
    utilisation: float
    price_an_hour: float
    source: str
    gpu: bool = True


MACHINES: tuple[Machine, ...] = (
    Machine("space", "free Space, 2 cores", 16, 0.2, 0.1, 0.5, 0.0, "two shared cores, as measured in benchmarks/RESULTS.md", gpu=False),
    Machine("laptop", "laptop, 16 GB", 16, 0.6, 0.3, 0.5, 0.0, "eight cores with AVX2 at some 3 GHz, a rough figure", gpu=False),
    Machine("t4", "T4", 16, 8.1, 65, 0.3, 0.4, "NVIDIA T4 datasheet (fp16: it has no bf16)"),
    Machine("3090", "RTX 3090", 24, 35.6, 71, 0.35, 0.3, "NVIDIA GA102 whitepaper, fp16 with float32 sums"),
    Machine("4090", "RTX 4090", 24, 82.6, 165.2, 0.35, 0.5, "NVIDIA Ada whitepaper, fp16 with float32 sums"),
    Machine("a100-40", "A100 40 GB", 40, 19.5, 312, 0.4, 1.3, "NVIDIA A100 datasheet"),
    Machine("a100-80", "A100 80 GB", 80, 19.5, 312, 0.4, 1.8, "NVIDIA A100 datasheet"),
    Machine("h100", "H100 SXM", 80, 67, 989, 0.4, 2.8, "NVIDIA H100 datasheet"),
    Machine("h200", "H200 SXM", 141, 67, 989, 0.4, 3.5, "NVIDIA H200 datasheet"),
)  # fmt: skip


def find(key: str) -> Machine:
    """Raises `ValueError` with one sentence."""
    for machine in MACHINES:
        if machine.key == key:
            return machine
    raise ValueError(f"There is no machine “{key[:40]}”; there are {', '.join(m.key for m in MACHINES)}.")
