"""The hyper-parameters of a text model, as key-values named after its architecture.

    write_hparams(key_values, "llama", config, file_type=32)      # llama.block_count ... general.file_type
    write_llama(key_values, config)                               # what only the llama architecture has

`config` is config.json as `defaults.completed` returns it. Names, types and order are those of upstream's
converter (conversion/base.py: TextModel; llama.py, qwen.py; gguf_writer.py). A number that a key cannot
hold is a MalformedSource that names config.json and the key.
Knows nothing of tensors, nor of how a file is laid out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.errors import Unsupported
from translators.keyvalues import KeyValues
from translators.metadata.checked import Checked, shown

_FILE = "config.json"
# The GGUF key, the names that configurations use for it (the first that is there counts, also if it is
# null), and the kind of value; in the order of the file, in two groups with rotary embeddings between them.
_SHAPE = (
    (
        "context_length",
        (
            "max_position_embeddings", "n_ctx", "n_positions", "max_length", "max_sequence_length",
            "model_max_length",
        ),
        "u32",
    ),
    ("embedding_length", ("hidden_size", "n_embd", "dim"), "u32"),
    (
        "feed_forward_length",
        (
            "prefix_dense_intermediate_size", "dense_intermediate_size", "intermediate_size", "n_inner",
            "hidden_dim",
        ),
        "count",
    ),
    ("attention.head_count", ("num_attention_heads", "n_head", "n_heads"), "count"),
    ("attention.head_count_kv", ("num_key_value_heads", "n_kv_heads"), "count"),
)  # fmt: skip
_NORMS_AND_EXPERTS = (
    ("attention.layer_norm_rms_epsilon", ("rms_norm_eps", "norm_eps"), "f32"),
    ("attention.layer_norm_epsilon", ("layer_norm_eps", "layer_norm_epsilon", "norm_epsilon"), "f32"),
    ("expert_count", ("num_local_experts", "num_experts", "n_routed_experts"), "u32"),
    ("expert_used_count", ("num_experts_per_tok", "num_experts_per_token", "top_k_experts"), "count"),
    ("expert_group_count", ("n_group",), "u32"),
    ("expert_group_used_count", ("topk_group",), "u32"),
)
BLOCK_COUNT = ("n_layers", "num_hidden_layers", "n_layer", "num_layers")
_SCORES = (
    "score_function", "scoring_func", "score_func", "moe_router_activation", "moe_router_activation_func",
    "expert_selection_fn",
)  # fmt: skip
_GATING = {"softmax": 1, "sigmoid": 2, "sqrtsoftplus": 4}
_THETA = ("global_rope_theta", "rope_global_theta", "rope_theta_global", "rope_theta", "rotary_emb_base")
_LOCAL_THETA = (
    "local_rope_theta", "rope_local_theta", "rope_theta_local", "swa_rope_theta", "rope_local_base_freq",
)  # fmt: skip
# What a configuration may say beside its rope parameters, and what it is called among them.
_ROPE_ASIDE = (
    ("rope_theta", _THETA),
    ("partial_rotary_factor", ("partial_rotary_factor", "rope_pct", "rope_percent")),
    ("original_max_position_embeddings", ("original_max_position_embeddings",)),
)
_YARN = (
    ("yarn_ext_factor", ("extrapolation_factor",)),
    ("yarn_attn_factor", ("attention_factor", "attn_factor")),
    ("yarn_beta_fast", ("beta_fast",)),
    ("yarn_beta_slow", ("beta_slow",)),
)


def write_hparams(
    kv: KeyValues, arch: str, config: Mapping[str, Any], file_type: int, blocks: int | None = None
) -> None:
    """Append `{arch}.*` of any text model, and `general.file_type` (a llama_ftype number).

    blocks: the number of layers, where it is not the configuration's.
    Raises MalformedSource, or Unsupported for an expert scoring function that GGUF has no number for.
    """
    checked = Checked(kv, _FILE)
    place, layers = _found(config, BLOCK_COUNT)
    checked.u32(f"{arch}.block_count", layers if blocks is None else blocks, place)
    _write_table(checked, arch, config, _SHAPE)
    if config.get("is_causal") is False:
        kv.bool(f"{arch}.attention.causal", False)
    _write_rope(checked, f"{arch}.rope", rope_parameters(config))
    _write_table(checked, arch, config, _NORMS_AND_EXPERTS)
    place, score = _found(config, _SCORES)
    if score is not None:
        if not isinstance(score, str) or score not in _GATING:
            raise Unsupported(f"an expert scoring function {shown(score)}", path=_FILE, place=place)
        kv.u32(f"{arch}.expert_gating_func", _GATING[score])
    if config.get("head_dim") is not None:
        checked.u32(f"{arch}.attention.key_length", config["head_dim"], "head_dim")
        checked.u32(f"{arch}.attention.value_length", config["head_dim"], "head_dim")
    kv.u32("general.file_type", file_type)


def write_llama(kv: KeyValues, config: Mapping[str, Any], arch: str = "llama") -> None:
    """Append what the llama architecture has besides: its vocabulary's size and rotary dimensions."""
    checked = Checked(kv, _FILE)
    checked.u32(f"{arch}.vocab_size", config.get("vocab_size"), "vocab_size")
    if (dimensions := config.get("head_dim")) is None:
        width, heads = config.get("hidden_size"), config.get("num_attention_heads")
        if not isinstance(width, int) or not isinstance(heads, int) or heads < 1:
            raise checked.refusal("no number of heads that divides the width", "num_attention_heads")
        dimensions = width // heads
    checked.u32(f"{arch}.rope.dimension_count", dimensions, "head_dim")


def rope_parameters(config: Mapping[str, Any]) -> dict[str, Any]:
    """The rotary parameters of a configuration in one form, whichever of its ways it uses.

    A copy of `rope_parameters` or `rope_scaling` with `rope_type`, `rope_theta` and others that stand
    beside it. Raises MalformedSource where it is no object.
    """
    place = "rope_parameters" if "rope_parameters" in config else "rope_scaling"
    given = config.get(place) or {}
    if not isinstance(given, dict):
        raise Checked(KeyValues(), _FILE).refusal(f"{shown(given)} is no object", place)
    parameters = dict(given)
    if "full_attention" in parameters or "sliding_attention" in parameters:
        return parameters
    if (local := _found(config, _LOCAL_THETA)[1]) is not None:
        parameters["sliding_attention"] = {"rope_theta": local}
    if parameters.get("type") is not None:
        parameters.setdefault("rope_type", parameters["type"])
    for name, keys in _ROPE_ASIDE:
        if (value := _found(config, keys)[1]) is not None:
            parameters.setdefault(name, value)
    return parameters


def _found(config: Mapping[str, Any], keys: tuple[str, ...]) -> tuple[str, Any]:
    """The first of the keys that is there, with its value, which may be null."""
    place = next((key for key in keys if key in config), None)
    return (keys[0], None) if place is None else (place, config[place])


def _write_table(
    checked: Checked,
    arch: str,
    config: Mapping[str, Any],
    table: tuple[tuple[str, tuple[str, ...], str], ...],
) -> None:
    for name, keys, kind in table:
        place, value = _found(config, keys)
        if value is not None:
            set_value = {"u32": checked.u32, "f32": checked.f32, "count": checked.count}[kind]
            set_value(f"{arch}.{name}", value, place)


def _write_rope(checked: Checked, prefix: str, parameters: Mapping[str, Any]) -> None:
    """Append the scaling, the sections of several axes, and the bases, of full and of windowed attention."""
    full = _part(checked, parameters, "full_attention", parameters)
    local = _part(checked, parameters, "sliding_attention", {})
    _write_scaling(checked, f"{prefix}.scaling", full)
    if "mrope_section" in parameters:
        sections = parameters["mrope_section"]
        if not isinstance(sections, list):
            raise checked.refusal("no list of numbers", "mrope_section")
        checked.counts(f"{prefix}.dimension_sections", (sections + [0] * 4)[:4], "mrope_section")
    if full.get("rope_theta") is not None:
        checked.f32(f"{prefix}.freq_base", full["rope_theta"], "rope_theta")
    if local.get("rope_theta") is not None:
        checked.f32(f"{prefix}.freq_base_swa", local["rope_theta"], "rope_theta of sliding_attention")


def _part(
    checked: Checked, parameters: Mapping[str, Any], name: str, otherwise: Mapping[str, Any]
) -> Mapping[str, Any]:
    part = parameters.get(name, otherwise)
    if not isinstance(part, Mapping):
        raise checked.refusal(f"{shown(part)} is no object", name)
    return part


def _write_scaling(checked: Checked, prefix: str, rope: Mapping[str, Any]) -> None:
    """Append linear, YaRN and LongRoPE scaling; Llama 3's is a tensor, others are not told."""
    kind, factor = rope.get("rope_type"), rope.get("factor")
    if kind is not None and not isinstance(kind, str):
        raise checked.refusal(f"{shown(kind)} is no text", "rope_type")
    if kind in ("su", "longrope"):
        checked.key_values.string(f"{prefix}.type", "longrope")
    if kind not in ("linear", "yarn") or factor is None:
        return
    checked.key_values.string(f"{prefix}.type", kind)
    checked.f32(f"{prefix}.factor", factor, "factor of rope_scaling")
    if kind == "linear":
        return
    original = "original_max_position_embeddings"
    checked.u32(f"{prefix}.original_context_length", rope.get(original), original)
    for name, keys in _YARN:
        place, value = _found(rope, keys)
        if value is not None:
            checked.f32(f"{prefix}.{name}", value, f"{place} of rope_scaling")
