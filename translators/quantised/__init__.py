"""Quantised checkpoints: what their tensors would be called and hold if nobody had quantised them.

    logical(model).tensors      # name -> recipe, in upstream's visiting order

A family of architectures sees an ordinary checkpoint, whatever it is stored in: FP8, compressed-tensors,
GPTQ, AWQ, bitsandbytes, BitNet give weights of F32 (F16 or BF16 where the reference library computes in
these); MXFP4 and NVFP4 give blocks of that type, whose bits only moved.

    logical.py        Logical, and the tensors of a checkpoint while they are being put in order
    scaled.py         fp8, fbgemm_fp8, modelopt's FP8, BitNet
    compressed.py     compressed-tensors
    transposed.py     GPTQ, AWQ
    bitsandbytes.py   NF4, FP4, LLM.int8
    blocks.py         MXFP4, NVFP4
    mlx.py            MLX's own: scale and bias a group

Values of the checkpoint are read only where they decide about names or shapes, a few bytes each.
Knows nothing of architectures.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from translators.errors import Unsupported
from translators.model import Model
from translators.quantised import bitsandbytes, blocks, compressed, mlx, scaled, transposed
from translators.quantised.configuration import quantisation_of
from translators.quantised.logical import OWN, Logical, Workings

_METHODS: dict[str, Callable[[Workings, Mapping[str, Any]], None]] = {
    "fp8": scaled.fp8,
    "fbgemm_fp8": scaled.per_weight,
    "modelopt": scaled.modelopt,
    "bitnet": scaled.bitnet,
    "compressed-tensors": compressed.decompress,
    "gptq": transposed.gptq,
    "awq": transposed.awq,
    "bitsandbytes": bitsandbytes.dequantise,
    "mxfp4": blocks.mxfp4,
    "mlx": mlx.dequantise,
}


def is_quantised(model: Model) -> bool:
    """Whether a checkpoint says that it is. Raises MalformedSource, MissingSource."""
    return quantisation_of(model) is not None


def logical(model: Model) -> Logical:
    """The tensors of a Hugging Face checkpoint as they are without quantisation.

    Raises Unsupported (a kind of quantisation that nothing here knows), MalformedSource (what belongs
    together does not fit), and what reading a source raises.
    """
    quantisation = quantisation_of(model)
    workings = Workings(model)
    if quantisation is None:
        return workings.logical()
    with workings:
        nvfp4 = blocks.nvfp4(workings, quantisation)
        if quantisation.method is not None and not (nvfp4 and not workings.has_scales()):
            method = _METHODS.get(quantisation.method)
            if method is None:
                raise Unsupported(
                    f"checkpoints quantised by {quantisation.method!r:.60} have no GGUF translation",
                    path="config.json", place="quantization_config.quant_method",
                    remedy="use the checkpoint in BF16, F16 or F32, or one quantised by another method",
                )  # fmt: skip
            method(workings, quantisation.settings)
        return workings.logical()


__all__ = ["OWN", "Logical", "is_quantised", "logical"]
