"""Gemma 3n: several streams (AltUp), embeddings by layer, sparse activations; norms are stored as they are.

Both embeddings gain rows of zeros for the tokens of images and sound. A layer's sparsity is told as the
number of standard deviations that cuts it off.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np

from translators.errors import Unsupported
from translators.families.configuration import ConfigClass, Part, checked_layers, counted_layers
from translators.families.gemma import FOUR_NORMS, MATRICES, NORM
from translators.families.gemma3 import PARAMETERS
from translators.families.llama import QK_NORMS
from translators.families.parameters import Key, Parameters
from translators.families.table import Family, Rule, Stack
from translators.families.transforms import Custom, Place
from translators.keyvalues import ValueType
from translators.recipes import Recipe, pad

_STREAMS = 4
# The one that published models have, to the last bit as PyTorch computes it.
_MEASURED = {0.95: 1.6448535919189453}


def deviations(part: float) -> float:
    """How many standard deviations a normal distribution's part `part` lies below.

    PyTorch's own sum, in float32, may be off in its last bits for other parts than published ones.
    """
    if not 0 < part < 1:
        return math.copysign(math.inf, part - 0.5)
    return _MEASURED.get(part) or NormalDist().inv_cdf(float(np.float32(part)))


def _sparsity(write: Parameters) -> None:
    parts = write.required("activation_sparsity_pattern")
    if not isinstance(parts, list) or not all(
        isinstance(part, int | float) and 0 <= part <= 1 for part in parts
    ):
        raise write.checked.refusal("no parts of a whole", "activation_sparsity_pattern")
    write.array("activation_sparsity_scale", ValueType.F32, [deviations(part) for part in parts])


def windows(write: Parameters) -> None:
    """Which layers look at a window only."""
    types = write.required("layer_types")
    if not isinstance(types, list):
        raise write.checked.refusal("no list", "layer_types")
    write.array(
        "attention.sliding_window_pattern", ValueType.BOOL, [each == "sliding_attention" for each in types]
    )


def _streams(write: Parameters) -> None:
    if write.integer("altup_num_inputs") != _STREAMS:
        raise Unsupported("other than four streams", path="config.json", place="altup_num_inputs")
    write.u32("altup.num_inputs", _STREAMS)


def _with_room(of: Recipe, at: Place) -> tuple[Recipe, ...]:
    rows = at.count("vocab_size") if "vocab_size" in at.config else 262400
    return (pad(of, 0, 0, rows - of.shape[0]) if of.shape[0] < rows else of,)


_PADDED = Custom(_with_room)
_LAYER = "model.layers.{}."


def _text(whole: dict[str, Any]) -> dict[str, Any]:
    layers, width = counted_layers(whole), whole["intermediate_size"]
    if not isinstance(width, list):
        width = [width] * layers
    elif len(width) != layers:
        raise ValueError("not one width for each layer")
    whole = checked_layers({**whole, "intermediate_size": width}, lambda layer: (layer + 1) % 5 != 0)
    parts = whole["activation_sparsity_pattern"]
    if parts is None:
        sparse = 10 if layers > 10 else 0
        parts = [0.95] * sparse + [0.0] * (layers - sparse)
    if len(parts) != layers:
        raise ValueError("not one sparsity for each layer")
    return {**whole, "activation_sparsity_pattern": parts}


GEMMA3N = Family(
    architectures=("Gemma3nForConditionalGeneration", "Gemma3nForCausalLM"),
    arch="gemma3n",
    vocabulary="gemma3n",
    rules=(
        Rule("model.embed_tokens", "token_embd", _PADDED),
        Rule("model.embed_tokens_per_layer", "per_layer_token_embd", _PADDED),
        Rule("model.per_layer_model_projection", "per_layer_model_proj"),
        Rule("model.per_layer_projection_norm", "per_layer_proj_norm"),
        Stack((Rule("model.altup_projections.{}", "altup_proj"),), _STREAMS - 1),
        Stack((Rule("model.altup_unembed_projections.{}", "altup_unembd_proj"),), _STREAMS - 1),
        *(NORM, *FOUR_NORMS, *QK_NORMS, *MATRICES),
        Rule("lm_head", "output", optional=True),
        Rule(_LAYER + "per_layer_input_gate", "blk.{}.inp_gate"),
        Rule(_LAYER + "per_layer_projection", "blk.{}.proj"),
        Rule(_LAYER + "post_per_layer_input_norm", "blk.{}.post_norm"),
        Rule(_LAYER + "altup.correction_coefs", "blk.{}.altup_correct_coef"),
        Rule(_LAYER + "altup.correct_output_scale", "blk.{}.altup_correct_scale.weight"),
        Rule(_LAYER + "altup.prediction_coefs", "blk.{}.altup_predict_coef"),
        Rule(_LAYER + "altup.modality_router", "blk.{}.altup_router"),
        Rule(_LAYER + "altup.router_norm", "blk.{}.altup_router_norm"),
        Rule(_LAYER + "laurel.linear_left", "blk.{}.laurel_l"),
        Rule(_LAYER + "laurel.linear_right", "blk.{}.laurel_r"),
        Rule(_LAYER + "laurel.post_laurel_norm", "blk.{}.laurel_post_norm"),
    ),
    parameters=(
        *PARAMETERS,
        Key("altup.active_idx", "altup_active_idx"),
        _streams,
        Key("embedding_length_per_layer_input", "hidden_size_per_layer_input"),
        Key("attention.shared_kv_layers", "num_kv_shared_layers"),
        _sparsity,
        windows,
    ),
    configurations=(
        ConfigClass(
            "gemma3n_text",
            {
                "vocab_size": 262400, "vocab_size_per_layer_input": 262144, "hidden_size": 2048,
                "hidden_size_per_layer_input": 256, "intermediate_size": 16384, "num_hidden_layers": 35,
                "num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 256,
                "max_position_embeddings": 32768, "rms_norm_eps": 1e-6, "rope_theta": 1_000_000.0,
                "rope_scaling": None, "rope_local_base_freq": 10000.0, "sliding_window": 512,
                "layer_types": None, "final_logit_softcapping": 30.0, "altup_active_idx": 0,
                "altup_num_inputs": 4, "num_kv_shared_layers": 15, "activation_sparsity_pattern": None,
                "tie_word_embeddings": True,
            },
            kv_heads=False,
            rope=True,
            finished=_text,
        ),
        ConfigClass("gemma3n", {}, parts={"text_config": Part("gemma3n_text")}),
    ),
)  # fmt: skip
