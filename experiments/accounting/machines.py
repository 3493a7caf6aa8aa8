"""Machines to train on: what they hold, what they compute by their makers' sheets, and what an hour of them costs.

Rates are dense matrix products, without the sparsity that the sheets also quote. Prices are list prices in US dollars as read
in November 2026 and change by the month: the page lets a reader type another. What share of a rate training reaches is an
assumption of the lab's, and the page calls it one.
"""

from __future__ import annotations

from dataclasses import dataclass

CPU_REACHES = 0.5
"""Measured: a LoRA step took 47 to 56 % of the speed of plain matrix products (benchmarks/RESULTS.md)."""
GPU_REACHES = 0.35
"""Assumed, for small batches on one GPU. Large tuned runs reach more: PaLM 46 % (Chowdhery et al. 2022, table 3)."""
COMMUNITY = "RunPod Community Cloud, list price"


@dataclass(frozen=True)
class Machine:
    """`memory_gb` in 10⁹ bytes; rates in 10¹² operations a second, `half` in bf16 (fp16 where there is no bf16);
    `price_an_hour` in US dollars, 0 where nothing is rented. `source` is of the rates, `priced` of the price."""

    key: str
    title: str
    memory_gb: float
    tflops: float
    half_tflops: float
    source: str
    price_an_hour: float = 0.0
    priced: str = ""
    gpu: bool = True

    @property
    def utilisation(self) -> float:
        """The share of the rate that training reaches."""
        return GPU_REACHES if self.gpu else CPU_REACHES


MEASURED = "two cores as measured in benchmarks/RESULTS.md; bf16 assumed at half"
A100 = "NVIDIA A100 Tensor Core GPU data sheet"
HOPPER = "NVIDIA H100 and H200 Tensor Core GPU data sheets, half of the rate with sparsity"

MACHINES: tuple[Machine, ...] = (
    Machine("space", "free Space, 2 cores", 16, 0.18, 0.09, MEASURED, gpu=False),
    Machine("laptop", "laptop, 16 GB", 16, 0.6, 0.3, "assumed: eight cores with AVX2; bf16 at half", gpu=False),
    Machine("t4", "T4", 16, 8.1, 65, "NVIDIA T4 data sheet, fp16: it has no bf16", 0.526, "AWS g4dn.xlarge, on demand"),
    Machine("3090", "RTX 3090", 24, 35.6, 71, "NVIDIA Ampere GA102 whitepaper, fp16 with float32 sums", 0.22, COMMUNITY),
    Machine("4090", "RTX 4090", 24, 82.6, 165.2, "NVIDIA Ada whitepaper, fp16 with float32 sums", 0.34, COMMUNITY),
    Machine("a100-40", "A100 40 GB", 40, 19.5, 312, A100, 1.99, "Lambda, a machine of eight, a GPU"),
    Machine("a100-80", "A100 80 GB", 80, 19.5, 312, A100, 1.39, COMMUNITY),
    Machine("h100", "H100 SXM", 80, 66.9, 989.4, HOPPER, 2.69, COMMUNITY),
    Machine("h200", "H200 SXM", 141, 66.9, 989.4, HOPPER, 3.59, "RunPod, list price of March 2026"),
)  # fmt: skip


def find(key: str) -> Machine:
    """Raises `ValueError` with one sentence."""
    for machine in MACHINES:
        if machine.key == key:
            return machine
    raise ValueError(f"There is no machine “{key[:40]}”; there are {', '.join(m.key for m in MACHINES)}.")
