"""Qwen3-Next and Qwen3.5: linear attention in most layers, and a layer that predicts tokens ahead.

Qwen3-Next fuses queries, keys, values and gates by key head; a GGUF has them one behind the other. Qwen3.5
stores value heads grouped by key head, llama.cpp tiles them: rows of everything by value head change places,
columns of what follows them too. The predicting layer (`mtp.`) is one more layer after the others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.errors import MalformedSource
from translators.families.checkpoint import Checkpoint
from translators.families.configuration import ConfigClass, checked_layers
from translators.families.gemma import shifted
from translators.families.hparams import BLOCK_COUNT
from translators.families.llama import FEED_FORWARD, PLAIN_QK, QK_NORMS, VALUE_AND_OUTPUT, experts, optional
from translators.families.parameters import COMMON, Key, Parameters
from translators.families.qwen import EXPERT_SIZES, FUSED_EXPERTS, SHARED_EXPERT
from translators.families.table import Family, Rule
from translators.families.transforms import NEGATED_EXP, Custom, Place, chain
from translators.keyvalues import ValueType
from translators.recipes import Recipe, concat, permute, reshape, slice_, split

_LINEAR = "model.layers.{}.linear_attn."
_MTP_LAYERS = "mtp_num_hidden_layers"
# Tensors of the predicting part that are not its layer's.
_AHEAD = {
    "fc": "eh_proj", "pre_fc_norm_embedding": "enorm", "pre_fc_norm_hidden": "hnorm",
    "norm": "shared_head.norm",
}  # fmt: skip


def _mtp_name(name: str, config: Mapping[str, Any]) -> str:
    """`mtp.` as a layer behind the last."""
    name = name.removeprefix("model.") if name.startswith("model.mtp.") else name
    layers = next((config[key] for key in BLOCK_COUNT if key in config), None)
    if not name.startswith("mtp.") or not isinstance(layers, int):
        return name
    parts = name.split(".", 3)
    if len(parts) == 4 and parts[1] == "layers" and parts[2].isdecimal():
        return f"model.layers.{layers + int(parts[2])}.{parts[3]}"
    if len(parts) == 3 and parts[1] in _AHEAD:
        return f"model.layers.{layers}.{_AHEAD[parts[1]]}.{parts[2]}"
    return name


def _with_predicting(source: Checkpoint) -> dict[str, Any]:
    """The configuration with the number of predicting layers that there are.

    Upstream fails on a checkpoint without them; its GGUF is then that of the converter's --no-nextn.
    """
    names = [name.removeprefix("model.") for name in source.model.tensors]
    ahead = [name.split(".") for name in names if name.startswith("mtp.layers.")]
    counted = max((int(parts[2]) + 1 for parts in ahead if parts[2].isdecimal()), default=0)
    told = source.config.get(_MTP_LAYERS) or counted
    return {**source.config, _MTP_LAYERS: told if counted else 0}


def _blocks(config: Mapping[str, Any]) -> int:
    at = Place(config)
    return at.count("num_hidden_layers") + (at.count(_MTP_LAYERS) if config.get(_MTP_LAYERS) else 0)


def _predicting(write: Parameters) -> None:
    if write.value(_MTP_LAYERS):
        write.u32("nextn_predict_layers", write.layers - write.integer("num_hidden_layers"))


def _inner_size(write: Parameters) -> None:
    size = write.integer("linear_value_head_dim") * write.integer("linear_num_value_heads")
    write.u32("ssm.inner_size", size, "linear_value_head_dim")


def _recurrent(write: Parameters) -> None:
    """Which layers are linear, and how often one is not."""
    types = write.value("layer_types")
    if types is not None:
        layers = write.integer("num_hidden_layers")
        if not isinstance(types, list) or len(types) != layers:
            raise write.checked.refusal(f"not {layers} types", "layer_types")
        linear = [each == "linear_attention" for each in types] + [False] * (write.layers - layers)
        write.array("attention.recurrent_layers", ValueType.BOOL, linear)
    write.u32("full_attention_interval", write.value("full_attention_interval", default=4))


def _rotary(write: Parameters) -> None:
    size = write.value("head_dim")
    if size is None:
        size = write.integer("hidden_size") // write.source.count("num_attention_heads")
    part = write.rope.get("partial_rotary_factor", 0.25)
    if not isinstance(size, int) or not isinstance(part, int | float) or not 0 < part <= 1:
        raise write.checked.refusal("no part of a head", "partial_rotary_factor")
    write.u32("rope.dimension_count", int(size * part), "head_dim")


def _sections(write: Parameters) -> None:
    if "mrope_section" not in write.rope:
        write.array("rope.dimension_sections", ValueType.I32, [11, 11, 10, 0])


_PARAMETERS = (
    COMMON,
    *EXPERT_SIZES,
    _predicting,
    Key("ssm.conv_kernel", "linear_conv_kernel_dim"),
    Key("ssm.state_size", "linear_key_head_dim"),
    Key("ssm.group_count", "linear_num_key_heads"),
    Key("ssm.time_step_rank", "linear_num_value_heads"),
    _inner_size,
    _recurrent,
    _rotary,
)


def _heads(at: Place) -> tuple[int, int, int, int]:
    """Key heads, value heads by key head, and the dimensions of both."""
    key_heads, value_heads = at.count("linear_num_key_heads"), at.count("linear_num_value_heads")
    if value_heads % key_heads:
        raise at.misfit(f"{value_heads} value heads cannot be divided among {key_heads}")
    return (
        key_heads, value_heads // key_heads, at.count("linear_key_head_dim"),
        at.count("linear_value_head_dim"),
    )  # fmt: skip


def _apart(of: Recipe, at: Place) -> tuple[Recipe, ...]:
    """Queries, keys and values of all heads, and the gates; of rows [q, k, v, z] by key head."""
    heads, each, key, value = _heads(at)
    rows = 2 * key + 2 * each * value
    if len(of.shape) != 2 or of.shape[0] != heads * rows:
        raise at.misfit(f"not {heads} heads of {rows} rows")
    grouped = reshape(of, (heads, rows, of.shape[1]))
    q, k, v, z = (
        reshape(part, (part.shape[0] * part.shape[1], of.shape[1]))
        for part in split(grouped, 1, key, key, each * value, each * value)
    )
    return concat((q, k, v), 0), z


def _together(parts: tuple[Recipe, ...], at: Place) -> Recipe:
    """The inverse of `_apart`."""
    heads, each, key, value = _heads(at)
    qkv, z = parts
    columns = z.shape[1]
    sizes = (heads * key, heads * key, heads * each * value)
    grouped = [
        reshape(part, (heads, part.shape[0] // heads, columns)) for part in (*split(qkv, 0, *sizes), z)
    ]
    return reshape(concat(tuple(grouped), 1), (qkv.shape[0] + z.shape[0], columns))


def _tiled(of: Recipe, axis: int, outer: int, inner: int) -> Recipe:
    """An axis of (outer, inner, rest) as (inner, outer, rest)."""
    size = of.shape[axis]
    if outer == 1 or inner == 1:
        return of
    if size % (outer * inner):
        raise MalformedSource(f"{size} rows cannot be divided among {outer * inner} heads")
    before, after = of.shape[:axis], of.shape[axis + 1 :]
    seen = reshape(of, (*before, outer, inner, size // (outer * inner), *after))
    axes = list(range(len(seen.shape)))
    axes[axis], axes[axis + 1] = axes[axis + 1], axes[axis]
    return reshape(permute(seen, tuple(axes)), of.shape)


def _by_value_head(axis: int = 0) -> Custom:
    """Value heads from groups to tiles, along an axis that is all of value heads."""

    def forward(of: Recipe, at: Place) -> tuple[Recipe, ...]:
        heads, each, _, _ = _heads(at)
        return (_tiled(of, axis, heads, each),)

    def backward(parts: tuple[Recipe, ...], at: Place) -> Recipe:
        heads, each, _, _ = _heads(at)
        return _tiled(parts[0], axis, each, heads)

    return Custom(forward, backward)


def _values_behind_keys(of: Recipe, at: Place, *, back: bool = False) -> Recipe:
    """Rows of queries and keys as they are, those of values from groups to tiles."""
    heads, each, key, _ = _heads(at)
    first = 2 * heads * key
    if of.shape[0] <= first:
        raise at.misfit(f"{of.shape[0]} rows, of which {first} are queries and keys")
    values = slice_(of, 0, first, of.shape[0])
    order = (each, heads) if back else (heads, each)
    return concat((slice_(of, 0, 0, first), _tiled(values, 0, *order)), 0)


def _squeezed(of: Recipe, at: Place) -> tuple[Recipe, ...]:
    """A convolution's kernel without its axis of one."""
    return (reshape(of, tuple(size for size in of.shape if size != 1)),)


def _unsqueezed(parts: tuple[Recipe, ...], at: Place) -> Recipe:
    (of,) = parts
    return reshape(of, (of.shape[0], 1, *of.shape[1:]))


_SQUEEZED = Custom(_squeezed, _unsqueezed)
_QKV = Custom(
    lambda of, at: (_values_behind_keys(of, at),),
    lambda parts, at: _values_behind_keys(parts[0], at, back=True),
)
_AS_ROWS, _AS_COLUMNS = _by_value_head(), _by_value_head(axis=1)
_SHARED = (
    Rule("model.embed_tokens", "token_embd"),
    Rule("lm_head", "output", optional=True),
    *shifted(
        Rule("model.norm", "output_norm"),
        Rule("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
        Rule("model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"),
        *optional(*QK_NORMS),
        *optional(
            Rule("model.layers.{}.enorm", "blk.{}.nextn.enorm"),
            Rule("model.layers.{}.hnorm", "blk.{}.nextn.hnorm"),
            Rule("model.layers.{}.shared_head.norm", "blk.{}.nextn.shared_head_norm"),
        ),
    ),
    *optional(*PLAIN_QK, *VALUE_AND_OUTPUT),
    *optional(
        Rule("model.layers.{}.eh_proj", "blk.{}.nextn.eh_proj"),
        Rule(_LINEAR + "norm", "blk.{}.ssm_norm"),
    ),
)
_MIXTURE = (
    Rule("model.layers.{}.mlp.gate", "blk.{}.ffn_gate_inp", optional=True),
    *SHARED_EXPERT,
    experts(),
    *FUSED_EXPERTS,
)
_NEXT_ATTENTION = (
    Rule(_LINEAR + "A_log", "blk.{}.ssm_a", NEGATED_EXP, optional=True, whole=True),
    Rule(_LINEAR + "dt_bias", "blk.{}.ssm_dt.bias", optional=True),
    Rule(_LINEAR + "conv1d", "blk.{}.ssm_conv1d", _SQUEEZED, optional=True),
    Rule(
        _LINEAR + "in_proj_qkvz",
        ("blk.{}.attn_qkv", "blk.{}.attn_gate"),
        Custom(_apart, _together),
        optional=True,
    ),
    Rule(_LINEAR + "in_proj_ba", "blk.{}.ssm_ba", optional=True),
    Rule(_LINEAR + "out_proj", "blk.{}.ssm_out", optional=True),
)
_TILED_ATTENTION = (
    Rule(_LINEAR + "A_log", "blk.{}.ssm_a", chain(_AS_ROWS, NEGATED_EXP), optional=True, whole=True),
    Rule(_LINEAR + "dt_bias", "blk.{}.ssm_dt.bias", _AS_ROWS, optional=True),
    Rule(_LINEAR + "conv1d", "blk.{}.ssm_conv1d", chain(_SQUEEZED, _QKV), optional=True),
    Rule(_LINEAR + "in_proj_qkv", "blk.{}.attn_qkv", _QKV, optional=True),
    Rule(_LINEAR + "in_proj_z", "blk.{}.attn_gate", _AS_ROWS, optional=True),
    Rule(_LINEAR + "in_proj_b", "blk.{}.ssm_beta", _AS_ROWS, optional=True),
    Rule(_LINEAR + "in_proj_a", "blk.{}.ssm_alpha", _AS_ROWS, optional=True),
    Rule(_LINEAR + "out_proj", "blk.{}.ssm_out", _AS_COLUMNS, optional=True),
)


def _qwen3_next(whole: dict[str, Any]) -> dict[str, Any]:
    interval = whole.get("full_attention_interval", 4)
    return checked_layers(whole, lambda layer: (layer + 1) % interval != 0, "linear_attention")


QWEN3_NEXT = Family(
    architectures=("Qwen3NextForCausalLM",),
    arch="qwen3next",
    vocabulary="gpt2",
    rules=(*_SHARED, *_NEXT_ATTENTION, *_MIXTURE),
    parameters=_PARAMETERS,
    renamed=_mtp_name,
    prepared=_with_predicting,
    blocks=_blocks,
    configurations=(
        ConfigClass(
            "qwen3_next",
            {
                "vocab_size": 151936, "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 48,
                "num_attention_heads": 16, "num_key_value_heads": 2, "max_position_embeddings": 32768,
                "rms_norm_eps": 1e-6, "rope_theta": 10000.0, "rope_scaling": None,
                "partial_rotary_factor": 0.25, "head_dim": 256, "linear_conv_kernel_dim": 4,
                "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_num_key_heads": 16,
                "linear_num_value_heads": 32, "moe_intermediate_size": 512,
                "shared_expert_intermediate_size": 512, "num_experts_per_tok": 10, "num_experts": 512,
                "layer_types": None,
            },
            kv_heads=False,
            rope=True,
            finished=_qwen3_next,
        ),
    ),
)  # fmt: skip

# transformers 4.57.6 does not know Qwen3.5: its config.json is taken as it is.
QWEN35 = Family(
    architectures=("Qwen3_5ForCausalLM", "Qwen3_5ForConditionalGeneration"),
    arch="qwen35",
    vocabulary="gpt2",
    rules=(*_SHARED, *_TILED_ATTENTION, *FEED_FORWARD),
    parameters=(*_PARAMETERS, _sections),
    renamed=_mtp_name,
    prepared=_with_predicting,
    blocks=_blocks,
)

QWEN35_MOE = Family(
    architectures=("Qwen3_5MoeForCausalLM", "Qwen3_5MoeForConditionalGeneration"),
    arch="qwen35moe",
    vocabulary="gpt2",
    rules=(*_SHARED, *_TILED_ATTENTION, *_MIXTURE),
    parameters=(*_PARAMETERS, _sections),
    renamed=_mtp_name,
    prepared=_with_predicting,
    blocks=_blocks,
)
