"""Gemma 4, dense and mixtures: full and windowed attention have heads of different sizes and numbers.

transformers 4.57.6 does not know it: its config.json is taken as it is. Only part of a head is rotated in
full attention; factors of 1e30 stop the rest. Norms are stored as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from translators.errors import MalformedSource
from translators.families.checkpoint import Checkpoint
from translators.families.gemma import EMBEDDING, FOUR_NORMS, MATRICES, NORM
from translators.families.gemma3 import CROPPED, PARAMETERS, with_rows
from translators.families.gemma3n import windows
from translators.families.llama import QK_NORMS, optional
from translators.families.parameters import Key, Parameters
from translators.families.table import Family, Rule
from translators.gguf_file import GgufTensor
from translators.recipes import Literal

_LAYER = "model.layers.{}."
_STOPPED = 1e30


def _of_full_attention(config: Mapping[str, Any], name: str, by_layer: str) -> Any:
    """A number of the layers with full attention: told at `name`, or at `by_layer` of one of them."""
    if config.get(name) is not None:
        return config[name]
    layers, types = config.get("per_layer_config"), config.get("layer_types") or []
    for layer, told in (layers if isinstance(layers, dict) else {}).items():
        full = layer.isdecimal() and int(layer) < len(types) and types[int(layer)] == "full_attention"
        if full and isinstance(told, dict) and by_layer in told:
            return told[by_layer]
    return None


def _head(config: Mapping[str, Any]) -> int:
    size = _of_full_attention(config, "global_head_dim", "head_dim")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 < size < 1 << 16:
        raise MalformedSource("no size of a head", path="config.json", place="global_head_dim")
    return size


def _heads(write: Parameters) -> None:
    """Sizes: of full attention, then of windows."""
    for name, size in (("", _head(write.config)), ("_swa", write.required("head_dim"))):
        write.u32(f"attention.key_length{name}", size, "head_dim")
        write.u32(f"attention.value_length{name}", size, "head_dim")


def _experts(write: Parameters) -> None:
    size = write.value("expert_intermediate_size", "moe_intermediate_size")
    if size is not None:
        write.u32("expert_feed_forward_length", size, "moe_intermediate_size")


def _widths(write: Parameters) -> None:
    """Layers that share keys and values are twice as wide in some."""
    if write.value("use_double_wide_mlp"):
        width, first = (
            write.integer("intermediate_size"),
            write.layers - write.integer("num_kv_shared_layers"),
        )
        widths = [width if layer < first else 2 * width for layer in range(min(write.layers, 100_000))]
        write.count("feed_forward_length", widths, "intermediate_size")


def _key_value_heads(write: Parameters) -> None:
    full = _of_full_attention(write.config, "num_global_key_value_heads", "num_key_value_heads")
    window = write.value("num_key_value_heads")
    if full is not None and window is not None:
        types = write.required("layer_types")
        counts = [window if each == "sliding_attention" else full for each in types]
        write.count("attention.head_count_kv", counts, "num_key_value_heads")


def _by_layer(write: Parameters) -> None:
    write.u32("embedding_length_per_layer_input", write.value("hidden_size_per_layer_input") or 0)


def _rotary(write: Parameters) -> None:
    write.u32("rope.dimension_count", _head(write.config), "global_head_dim")
    part = write.number("head_dim") * write.rope.get("partial_rotary_factor", 1.0)
    write.u32("rope.dimension_count_swa", int(part), "head_dim")


def _frequencies(source: Checkpoint) -> Iterator[GgufTensor]:
    rope = source.config.get("rope_parameters")
    full = rope.get("full_attention") if isinstance(rope, dict) else None
    if not isinstance(full, dict) or full.get("rope_type") != "proportional":
        raise MalformedSource("no proportional rotation", path="config.json", place="rope_parameters")
    part, head = full.get("partial_rotary_factor"), _head(source.config)
    if isinstance(part, bool) or not isinstance(part, int | float) or not 0 <= part <= 1:
        raise MalformedSource("no part of a head", path="config.json", place="partial_rotary_factor")
    factors = np.full(head // 2, _STOPPED, np.float32)
    factors[: int(head * part / 2)] = 1
    yield GgufTensor("rope_freqs.weight", factors.shape, Literal(factors.tobytes(), "F32", factors.shape))


GEMMA4 = Family(
    architectures=("Gemma4ForConditionalGeneration", "Gemma4ForCausalLM"),
    arch="gemma4",
    vocabulary="gemma4",
    rules=(
        Rule(EMBEDDING.huggingface, EMBEDDING.gguf, CROPPED),
        NORM,
        *FOUR_NORMS,
        *optional(*QK_NORMS, *MATRICES),
        *optional(
            Rule("lm_head", "output"),
            Rule("model.embed_tokens_per_layer", "per_layer_token_embd"),
            Rule("model.per_layer_model_projection", "per_layer_model_proj"),
            Rule("model.per_layer_projection_norm", "per_layer_proj_norm"),
            Rule(_LAYER + "per_layer_input_gate", "blk.{}.inp_gate"),
            Rule(_LAYER + "per_layer_projection", "blk.{}.proj"),
            Rule(_LAYER + "post_per_layer_input_norm", "blk.{}.post_norm"),
            Rule(_LAYER + "layer_scalar", "blk.{}.layer_output_scale.weight"),
            Rule(_LAYER + "router.proj", "blk.{}.ffn_gate_inp"),
            Rule(_LAYER + "router.scale", "blk.{}.ffn_gate_inp.scale"),
            Rule(_LAYER + "router.per_expert_scale", "blk.{}.ffn_down_exps.scale"),
            Rule(_LAYER + "experts.gate_up_proj", "blk.{}.ffn_gate_up_exps.weight"),
            Rule(_LAYER + "experts.down_proj", "blk.{}.ffn_down_exps.weight"),
            Rule(_LAYER + "pre_feedforward_layernorm_2", "blk.{}.pre_ffw_norm_2"),
            Rule(_LAYER + "post_feedforward_layernorm_1", "blk.{}.post_ffw_norm_1"),
            Rule(_LAYER + "post_feedforward_layernorm_2", "blk.{}.post_ffw_norm_2"),
        ),
    ),
    parameters=(
        *PARAMETERS,
        Key("attention.shared_kv_layers", "num_kv_shared_layers"),
        _by_layer,
        windows,
        _heads,
        _experts,
        _widths,
        _key_value_heads,
        _rotary,
    ),
    generated=_frequencies,
    prepared=with_rows,
)  # fmt: skip
