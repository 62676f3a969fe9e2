"""gpt-oss: every layer a mixture, with biases everywhere and a sink for attention.

The experts of a layer are one tensor, of whose rows every other is a gate and every other goes up. Published
weights are MXFP4, with rows as a linear layer has them; others are stored transposed. A quantised
checkpoint's experts come here as tensors called `.weight`, before all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from translators.families.configuration import ConfigClass, checked_layers, checked_scaling
from translators.families.described import Told
from translators.families.llama import EMBEDDINGS, PLAIN_QK, VALUE_AND_OUTPUT
from translators.families.parameters import COMMON, Key
from translators.families.table import Family, Rule
from translators.families.transforms import Permuted, Place, Transform
from translators.recipes import Recipe, permute, reshape, slice_, stack, transpose2d


@dataclass(frozen=True, slots=True)
class Interleaved(Transform):
    """Two tensors whose rows alternate in one; a vector's elements count as rows. transposed: stored so."""

    axis: int = -2
    transposed: bool = False

    def to_gguf(self, of: Recipe, at: Place) -> tuple[Recipe, ...]:
        """The even rows, the odd rows."""
        if len(of.shape) < 2:
            raise at.misfit(f"{len(of.shape)} dimensions are too few")
        if self.transposed:
            of = transpose2d(of)
        rows = of.shape[self.axis]
        if rows % 2:
            raise at.misfit(f"{rows} rows are no pairs")
        return tuple(slice_(of, self.axis, first, rows, 2) for first in (0, 1))

    def to_huggingface(self, parts: tuple[Recipe, ...], at: Place) -> Recipe:
        """In turn."""
        shape = parts[0].shape
        axis = self.axis % len(shape)
        pairs = permute(stack(parts), (*range(1, axis + 2), 0, *range(axis + 2, len(shape) + 1)))
        whole = reshape(pairs, (*shape[:axis], 2 * shape[axis], *shape[axis + 1 :]))
        return transpose2d(whole) if self.transposed else whole


_TURNED = Permuted((0, 2, 1))
_EXPERTS = "model.layers.{}.mlp.experts."


def _both(end: str) -> tuple[str, str]:
    return f"blk.{{}}.ffn_gate_exps.{end}", f"blk.{{}}.ffn_up_exps.{end}"


def _completed(whole: dict[str, Any]) -> dict[str, Any]:
    if whole["head_dim"] is None:
        whole = {**whole, "head_dim": whole["hidden_size"] // whole["num_attention_heads"]}
    whole = checked_layers(whole, lambda layer: (layer + 1) % 2 == 1)
    if whole["rope_scaling"] is not None:
        whole["rope_scaling"] = checked_scaling(whole, known_head_dim=True)
    return whole


def _described(told: Told) -> dict[str, Any]:
    """Experts come back as matrices of the file's own precision, not in the published blocks."""
    found = told.draft("gpt_oss", "GptOssForCausalLM", derived_head=True) | {
        "intermediate_size": told.integer("expert_feed_forward_length"),
        "num_local_experts": told.integer("expert_count"),
        "num_experts_per_tok": told.integer("expert_used_count"),
        "sliding_window": told.integer("attention.sliding_window"),
        "swiglu_limit": 7.0,
    }
    if found["rope_scaling"] is not None:
        found["rope_scaling"] = {**found["rope_scaling"], "truncate": False}
    return found


GPT_OSS = Family(
    architectures=("GptOssForCausalLM",),
    arch="gpt-oss",
    vocabulary="gpt2",
    rules=(
        *EMBEDDINGS,
        Rule("model.layers.{}.input_layernorm", "blk.{}.attn_norm"),
        Rule("model.layers.{}.post_attention_layernorm", "blk.{}.post_attention_norm"),
        *PLAIN_QK,
        *VALUE_AND_OUTPUT,
        Rule("model.layers.{}.self_attn.sinks", "blk.{}.attn_sinks.weight"),
        Rule("model.layers.{}.mlp.router", "blk.{}.ffn_gate_inp"),
        Rule(_EXPERTS + "gate_up_proj", _both("weight"), Interleaved(transposed=True)),
        Rule(_EXPERTS + "gate_up_proj_bias", _both("bias"), Interleaved(axis=-1)),
        Rule(_EXPERTS + "gate_up_proj.weight", _both("weight"), Interleaved(), optional=True),
        Rule(_EXPERTS + "down_proj", "blk.{}.ffn_down_exps.weight", _TURNED),
        Rule(_EXPERTS + "down_proj_bias", "blk.{}.ffn_down_exps.bias"),
        Rule(_EXPERTS + "down_proj.weight", "blk.{}.ffn_down_exps.weight", optional=True),
    ),
    parameters=(
        COMMON,
        Key("attention.sliding_window", "sliding_window"),
        Key("expert_feed_forward_length", "intermediate_size"),
    ),
    described=_described,
    configurations=(
        ConfigClass(
            "gpt_oss",
            {
                "num_hidden_layers": 36, "num_local_experts": 128, "vocab_size": 201088,
                "hidden_size": 2880, "intermediate_size": 2880, "head_dim": 64, "num_attention_heads": 64,
                "num_key_value_heads": 8,
                "sliding_window": 128, "rope_theta": 150000.0, "max_position_embeddings": 131072,
                "rms_norm_eps": 1e-5, "num_experts_per_tok": 4, "layer_types": None,
                "rope_scaling": {
                    "rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0,
                    "truncate": False, "original_max_position_embeddings": 4096,
                },
            },
            finished=_completed,
        ),
    ),
)  # fmt: skip
