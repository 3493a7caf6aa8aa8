"""The frozen matrices of a model kept in 4 or 8 bits (QLoRA, Dettmers et al. 2023, section 3; LLM.int8, Dettmers et al. 2022), by
bitsandbytes, on the CPU, too. Only matrices inside blocks are packed: embeddings, norms, biases and the head stay the base's own.

Packing rounds: the packed model is another model than the base, and how far its loss moved is to be told.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

import torch
from torch import nn

from experiments.accounting import LAYER

Precision = Literal["int8", "nf4", "nf4-double"]
logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)  # told at each product: it works in half


def pack(model: Any, precision: Precision, compute: str) -> None:
    """Put packed matrices in the place of those inside the blocks of this tree; the base's own are not touched.

    `compute`: the precision that 4-bit matrices are multiplied in, "float32" or "bf16". Raises `ValueError` without bitsandbytes.
    """
    try:
        import bitsandbytes  # noqa: F401
    except ImportError:
        raise ValueError("Packed weights need the package bitsandbytes, which is not installed here.") from None
    for name, module in [(n, m) for n, m in model.named_modules() if isinstance(m, nn.Linear) and LAYER.search(n)]:
        packed = _int8(module) if precision == "int8" else _nf4(module, precision == "nf4-double", compute)
        model.set_submodule(name, packed.requires_grad_(False).train(module.training))
    model.is_loaded_in_8bit, model.is_loaded_in_4bit = precision == "int8", precision != "int8"  # PEFT asks for these


def _nf4(module: nn.Linear, double: bool, compute: str) -> Any:
    """Blocks of 64 weights that share a scale; the scales packed once more where `double`."""
    from bitsandbytes.nn import Linear4bit, Params4bit

    dtype = torch.bfloat16 if compute == "bf16" else torch.float32
    packed: Any
    with torch.device("meta"):
        packed = Linear4bit(module.in_features, module.out_features, bias=False, compute_dtype=dtype)
    weight: Any = Params4bit(
        module.weight.data, requires_grad=False, quant_type="nf4", compress_statistics=double, module=packed
    )
    packed.weight = weight.to(module.weight.device)
    packed.bias = _bias(module, dtype)
    # With AVX-512 BF16 it repacks its weights at the first look, for a product that no gradient passes
    packed.support_avx512bf16_for_cpu = False
    return packed


def _int8(module: nn.Linear) -> Any:
    """A scale for each row of the matrix, and one for each token's input; no outliers apart (they come with billions of
    parameters): which those are would depend on the other rows of a batch."""
    from bitsandbytes.nn import Int8Params, Linear8bitLt

    packed: Any
    with torch.device("meta"):
        packed = Linear8bitLt(
            module.in_features, module.out_features, bias=False, has_fp16_weights=False, threshold=0.0
        )
    weight: Any = Int8Params(module.weight.data, requires_grad=False, has_fp16_weights=False)
    packed.weight = weight.to(module.weight.device)
    packed.bias = module.bias
    return packed


def _bias(module: nn.Linear, dtype: torch.dtype) -> nn.Parameter | None:
    """In the precision of the product, which would turn it there at the first one."""
    return None if module.bias is None else nn.Parameter(module.bias.data.to(dtype), requires_grad=False)
