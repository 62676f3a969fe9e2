"""Qwen3-VL and its mixture of experts, the language models: Qwen3's tensors.

What several layers of the eyes see is added to the first layers. The experts of a layer are one tensor, with
rows and columns exchanged.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.families.configuration import ConfigClass, Part
from translators.families.llama import QK_NORMS
from translators.families.parameters import COMMON, POOLING, RANKING, Parameters
from translators.families.qwen import DENSE, EXPERT_SIZES, SPARSE
from translators.families.table import Family, Rule
from translators.families.transforms import Permuted, Split, chain

_TRANSPOSED = Permuted((0, 2, 1))
_EXPERTS = (
    Rule("model.layers.{}.mlp.experts.down_proj", "blk.{}.ffn_down_exps.weight", _TRANSPOSED, optional=True),
    Rule(
        "model.layers.{}.mlp.experts.gate_up_proj",
        ("blk.{}.ffn_gate_exps.weight", "blk.{}.ffn_up_exps.weight"),
        chain(_TRANSPOSED, Split(2, axis=-2)),
        optional=True,
    ),
)
_EYES = {
    "depth": 27, "hidden_size": 1152, "intermediate_size": 4304, "num_heads": 16, "patch_size": 16,
    "spatial_merge_size": 2, "num_position_embeddings": 2304, "deepstack_visual_indexes": [8, 16, 24],
}  # fmt: skip
_TEXT = {
    "vocab_size": 151936, "max_position_embeddings": 128000, "rms_norm_eps": 1e-6, "rope_theta": 5000000.0,
    "rope_scaling": None,
}  # fmt: skip
_DENSE_TEXT = {
    "hidden_size": 4096, "intermediate_size": 22016, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 32, "head_dim": 128,
}  # fmt: skip
_SPARSE_TEXT = {
    "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 24, "num_attention_heads": 16,
    "num_key_value_heads": 16, "head_dim": None, "moe_intermediate_size": 1408, "num_experts_per_tok": 4,
    "num_experts": 60,
}  # fmt: skip


def _deep_layers(write: Parameters) -> None:
    eyes = write.value("vision_config", default={})
    layers = eyes.get("deepstack_visual_indexes", []) if isinstance(eyes, dict) else None
    if not isinstance(layers, list):
        raise write.checked.refusal("no list of layers", "deepstack_visual_indexes of vision_config")
    write.u32("n_deepstack_layers", len(layers))


def _classes(model_type: str, text: Mapping[str, Any]) -> tuple[ConfigClass, ConfigClass]:
    parts = {
        "text_config": Part(f"{model_type}_text"),
        "vision_config": Part(model_type, of=ConfigClass(model_type, _EYES)),
    }
    of_text = ConfigClass(f"{model_type}_text", {**_TEXT, **text}, head_dim=True, rope="told")
    return ConfigClass(model_type, {}, parts=parts), of_text


QWEN3_VL = Family(
    architectures=("Qwen3VLForConditionalGeneration",),
    arch="qwen3vl",
    vocabulary="qwen",
    rules=(*DENSE, *QK_NORMS),
    parameters=(COMMON, POOLING, RANKING, _deep_layers),
    configurations=_classes("qwen3_vl", _DENSE_TEXT),
)

QWEN3_VL_MOE = Family(
    architectures=("Qwen3VLMoeForConditionalGeneration",),
    arch="qwen3vlmoe",
    vocabulary="gpt2",
    rules=(*SPARSE, *_EXPERTS, *QK_NORMS),
    parameters=(COMMON, *EXPERT_SIZES, _deep_layers),
    configurations=_classes("qwen3_vl_moe", _SPARSE_TEXT),
)
