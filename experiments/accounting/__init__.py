"""Counting without torch: architectures as lists of their tensors, and closed forms over them.

Here: what an architecture is. Beside it, each over an `Arch`: `presets` (published models), `trainable` (parameters),
`memory`, `compute` (time and cost), `tokens` (how much text), `plan` (a question typed by a person), `answers`.
"""

from experiments.accounting.arch import LAYER, Arch, Tensor, folder_arch, layer_indices, module_arch
from experiments.accounting.families import config_arch, llama_arch

__all__ = ["LAYER", "Arch", "Tensor", "config_arch", "folder_arch", "layer_indices", "llama_arch", "module_arch"]
