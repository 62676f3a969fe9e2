"""Which type a tensor of a GGUF has, as upstream's converter decides it: by name, shape, the file's type.

What llama.cpp's graphs compute with in F32 alone is F32, all else has the file's type (b11434's
conversion/base.py: prepare_tensors; MmprojModel.tensor_force_quant). Knows nothing of recipes.
"""

from __future__ import annotations

from collections.abc import Mapping

from translators.dtypes import DTYPES, F16, F32, DType

# Matrices that are F32 whatever their names end in: routers, positions, token types, small convolutions,
# mixes of RWKV, coefficients of Gemma 3n, and more of that kind.
_PRECISE = frozenset(
    (
        "ffn_gate_inp", "ffn_gate_inp_shexp", "position_embd", "token_types", "ssm_conv1d", "shortconv.conv",
        "time_mix_first", "time_mix_w1", "time_mix_w2", "time_mix_decay_w1", "time_mix_decay_w2",
        "time_mix_lerp_fused", "altup_correct_coef", "altup_predict_coef", "ssm_conv1d_q", "ssm_conv1d_k",
        "ssm_conv1d_v", "indexer.proj",
    )
)  # fmt: skip
_MATRIX_ENDS = (".weight", ".lora_a", ".lora_b")
# Kernels over patches, of which a side file has halves only where all of it has.
_PATCHES = (".patch_embd.weight", ".patch_merger.weight")
_POSITIONS = ("v.position_embd.weight", "a.position_embd.weight")


def type_in_model(name: str, shape: tuple[int, ...], own: DType, kept: Mapping[str, str]) -> DType:
    """The type of a tensor of a GGUF in the precision `own`. kept: a family's own, by ends of names."""
    if len(shape) <= 1 or name.endswith("_norm.weight"):
        return F32
    forced = next((kind for end, kind in kept.items() if name.endswith(end)), None)
    if forced is not None:
        return DTYPES[forced] if forced else own
    stem = name.removesuffix(".weight")
    if stem.startswith("blk."):
        stem = stem.split(".", 2)[-1]
    return F32 if stem in _PRECISE or not name.endswith(_MATRIX_ENDS) else own


def type_in_side_file(name: str, shape: tuple[int, ...], own: DType, kept: Mapping[str, str]) -> DType:
    """The type of a tensor of a side file whose type is `own`, which may be one of blocks."""
    if len(shape) <= 1 or name.endswith("_norm.weight"):
        return F32
    forced = next((kind for end, kind in kept.items() if name.endswith(end)), None)
    if forced:
        return DTYPES[forced]
    if forced is None:
        if any(part in name for part in _PATCHES):
            return F16 if own is F16 else F32
        if name in _POSITIONS or not name.endswith(_MATRIX_ENDS):
            return F32
    return F16 if shape[-1] % own.block else own
