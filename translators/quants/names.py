"""What a GGUF tensor's name tells llama-quantize: its part, its layer, and whether it may change.

Facts of upstream's llama-quant.cpp and llama-model-loader.h (b11434), as tables. Names are matched by
substrings there, so they are here.
Knows nothing of types.
"""

from __future__ import annotations

import re
from enum import IntEnum, auto


class Role(IntEnum):
    """The part that a tensor plays, as far as its type depends on it."""

    OUTPUT = auto()
    EMBEDDING = auto()
    VALUE = auto()
    KEY = auto()
    QUERY = auto()
    ATTENTION_OUTPUT = auto()
    UP = auto()
    GATE = auto()
    DOWN = auto()
    OTHER = auto()


OUTPUT_WEIGHT = "output.weight"
_EXACT = {
    OUTPUT_WEIGHT: Role.OUTPUT,
    "token_embd.weight": Role.EMBEDDING,
    "per_layer_token_embd.weight": Role.EMBEDDING,
}
# The first that a name contains decides. Fused and latent attention count as values.
_CONTAINING = (
    ("attn_qkv.weight", Role.VALUE),
    ("attn_kv_b.weight", Role.VALUE),
    ("attn_v.weight", Role.VALUE),
    ("attn_k.weight", Role.KEY),
    ("attn_q.weight", Role.QUERY),
    ("attn_output.weight", Role.ATTENTION_OUTPUT),
    ("ffn_up", Role.UP),
    ("ffn_gate", Role.GATE),
    ("ffn_down", Role.DOWN),
)

_UNTOUCHED_EXACT = frozenset({"position_embd.weight", "token_types.weight"})
_TIME_MIX = "first w0 w1 w2 v0 v1 v2 a0 a1 a2 g1 g2 decay_w1 decay_w2 lerp_fused"
_UNTOUCHED = (
    "_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel",
    "per_layer_model_proj", "ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight",
    "indexer.q_proj.weight", "attn_rel_b.weight", ".position_embd", "sam.pos_embd", "sam.neck.", "sam.net_",
    ".rel_pos", ".patch_embd", ".patch_merger", "a.rvq.codebook", "mm.a.code_embd",
    *(f"time_mix_{part}.weight" for part in _TIME_MIX.split()),
)  # fmt: skip
_UNTOUCHED_OF: dict[str, tuple[str, ...]] = {
    "glm5-next": (
        "hc_", "indexer.attn_q_b", "indexer.attn_k", "indexer.proj", "indexer_compressor_gate",
        "indexer_compressor_ape", "ssm_f_a.weight", "ssm_f_b.weight", "ssm_g_a.weight", "ssm_g_b.weight",
        "ssm_beta.weight", "attn_kv_a_mqa.weight", "attn_k_b.weight", "attn_v_b.weight",
    ),
}  # fmt: skip

# sscanf's "blk.%d": spaces and a sign are allowed, and nothing is asked of what follows the number.
_LAYER = re.compile(r"blk\.[ \t\n\v\f\r]*([+-]?[0-9]+)")


def role(name: str) -> Role:
    """The part that the tensor called `name` plays."""
    if name in _EXACT:
        return _EXACT[name]
    return next((role for part, role in _CONTAINING if part in name), Role.OTHER)


def layer(name: str) -> int | None:
    """The number of the layer that the tensor called `name` is in, or None."""
    match = _LAYER.match(name)
    return int(match[1]) if match else None


def visiting_order(name: str) -> tuple[int, bytes]:
    """The key that llama-quantize visits, and writes, tensors by: layer (-1 for none), then name."""
    number = layer(name)
    return (-1 if number is None else number, _encoded(name))


def may_change(name: str, shape: tuple[int, ...], architecture: str) -> bool:
    """True if llama-quantize may change the type of this tensor; `shape` is row-major.

    Only weights of two dimensions or more change (outermost dimensions of one do not count).
    """
    if all(size == 1 for size in shape[:-1]) or name in _UNTOUCHED_EXACT:
        return False
    # Upstream compares a position with a length minus six, and both wrap alike for a name of five bytes.
    if not name.endswith("weight") and len(_encoded(name)) != 5:
        return False
    kept = _UNTOUCHED + _UNTOUCHED_OF.get(architecture, ())
    return not any(part in name for part in kept)


def _encoded(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")
