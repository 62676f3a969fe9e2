"""ERNIE 4.5, EXAONE, HunYuan, MiniMax-M2, LFM2, Step-3.5, Command-R, Cohere 2, Llama 4."""

from __future__ import annotations

import base64
import json
from typing import Any

from tests.oracle.families.side_files import VOCABULARY, byte_level, config, pieces, preprocessor
from tests.oracle.families.variant import Inventory, Variant

_LLAMA3 = {
    "rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0, "factor": 16.0,
    "original_max_position_embeddings": 1024,
}  # fmt: skip
_DYNAMIC = {
    "type": "dynamic", "alpha": 1000.0, "factor": 1.0, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0,
    "mscale_all_dim": 1.0,
}  # fmt: skip


def _fused(inventory: Inventory) -> Inventory:
    """ERNIE's first checkpoints: q, k, v in one matrix, and gate above up in another."""
    made: Inventory = {}
    for name, shape in inventory.items():
        old = "ernie." + name.removeprefix("model.") if name.startswith("model.") else name
        if old.endswith("q_proj.weight"):
            made[old.replace("q_proj", "qkv_proj")] = (512, 256)
        elif old.endswith("gate_proj.weight"):
            made[old.replace("gate_proj", "up_gate_proj")] = (512, 256)
        elif not old.endswith(("k_proj.weight", "v_proj.weight", ".up_proj.weight")):
            made[old] = shape
    return made


def _with_mtp(inventory: Inventory) -> Inventory:
    further = ("mtp_block.0.input_layernorm", "mtp_emb_norm.0", "mtp_hidden_norm.0")
    made = {**inventory, **{f"model.{name}.weight": (256,) for name in further}}
    return {**made, "model.mtp_linear_proj.0.weight": (256, 512)}


_ERNIE_MOE: dict[str, Any] = {
    "moe_num_experts": 4, "moe_k": 2, "moe_num_shared_experts": 2, "moe_layer_start_index": 1,
    "moe_intermediate_size": 256, "intermediate_size": 1024, "use_bias": False, "pad_token_id": 0,
}  # fmt: skip
_ERNIE = (
    Variant(
        "ERNIE-4.5-0.3B-PT", 31,
        config("Ernie4_5ForCausalLM", "ernie4_5", head_dim=128, tie_word_embeddings=True, pad_token_id=0),
        pieces(add_prefix_space=False),
    ),
    Variant(
        "ernie-fused-f16", 31,
        config("Ernie4_5_ForCausalLM", "ernie4_5", head_dim=64, pad_token_id=0, torch_dtype="float16"),
        pieces(), dtype="F16", made_as="Ernie4_5ForCausalLM", changed=_fused,
    ),
    Variant(
        "ERNIE-4.5-21B-A3B-PT", 31,
        config("Ernie4_5_MoeForCausalLM", "ernie4_5_moe", **_ERNIE_MOE, num_hidden_layers=3), pieces(),
        changed=_with_mtp,
    ),
    Variant(
        "ernie-moe-f32", 31,
        config(
            "Ernie4_5_MoeForCausalLM", "ernie4_5_moe", **{**_ERNIE_MOE, "moe_num_experts": 12},
            moe_layer_interval=1, tie_word_embeddings=True, torch_dtype="float32",
        ),
        pieces(), dtype="F32",
    ),
)  # fmt: skip


def _exaone3() -> Inventory:
    layer = "transformer.h.{}."
    shapes: Inventory = {
        "transformer.wte.weight": (VOCABULARY, 256), "transformer.ln_f.weight": (256,),
        "lm_head.weight": (VOCABULARY, 256),
    }  # fmt: skip
    for number in range(2):
        for name, shape in {
            "ln_1": (256,), "ln_2": (256,), "attn.attention.q_proj": (256, 256),
            "attn.attention.k_proj": (128, 256), "attn.attention.v_proj": (128, 256),
            "attn.attention.out_proj": (256, 256), "mlp.c_fc_0": (512, 256), "mlp.c_fc_1": (512, 256),
            "mlp.c_proj": (256, 512),
        }.items():  # fmt: skip
            shapes[f"{layer.format(number)}{name}.weight"] = shape
    return shapes


_EXAONE3: dict[str, Any] = {
    "architectures": ["ExaoneForCausalLM"], "model_type": "exaone", "activation_function": "silu",
    "hidden_size": 256, "intermediate_size": 512, "num_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 4096, "layer_norm_epsilon": 1e-5, "head_dim": 64,
    "rope_theta": 1000000, "rope_scaling": {**_LLAMA3, "factor": 8.0}, "vocab_size": VOCABULARY,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": False, "torch_dtype": "bfloat16",
}  # fmt: skip
_EXAONE = (
    Variant(
        "EXAONE-3.5-2.4B-Instruct", 31, _EXAONE3, byte_level(), inventory=_exaone3(),
        note="upstream's files cannot be loaded unless told rms_norm_eps; here it is not needed",
    ),
    Variant(
        "exaone3-partial-f16", 31,
        {
            **_EXAONE3, "partial_rotary_factor": 0.5, "rope_scaling": None, "tie_word_embeddings": True,
            "torch_dtype": "float16",
        },
        byte_level(), dtype="F16",
        inventory={name: shape for name, shape in _exaone3().items() if name != "lm_head.weight"},
    ),
    Variant(
        "EXAONE-4.0-32B", 31,
        config(
            "Exaone4ForCausalLM", "exaone4", head_dim=64, sliding_window=512, sliding_window_pattern="LLLG",
            num_hidden_layers=5, rope_scaling=_LLAMA3, rope_theta=1000000,
            layer_types=[*["sliding_attention"] * 3, "full_attention", "full_attention"],
        ),
        byte_level(),
    ),
    # No window; no layer_types; the factor of the scaling left out.
    Variant(
        "exaone4-f16-tied", 31,
        config(
            "Exaone4ForCausalLM", "exaone4", head_dim=64, tie_word_embeddings=True, sliding_window=256,
            sliding_window_pattern=2, num_hidden_layers=3, torch_dtype="float16",
        ),
        byte_level(), dtype="F16",
    ),
)  # fmt: skip
_HUNYUAN = (
    Variant(
        "Hunyuan-4B-Instruct", 31,
        config(
            "HunYuanDenseV1ForCausalLM", "hunyuan_v1_dense", head_dim=128, tie_word_embeddings=True,
            pad_token_id=0, eod_token_id=3, max_position_embeddings=262144, rope_scaling=_DYNAMIC,
            use_qk_norm=True, num_experts=1,
        ),
        {**byte_level(), "generation_config.json": '{"eos_token_id": [3, 2], "top_k": 20}'},
    ),
    Variant(
        "hunyuan-plain-f32", 31,
        config(
            "HunYuanDenseV1ForCausalLM", "hunyuan_v1_dense", head_dim=64, pad_token_id=0, attention_bias=True,
            torch_dtype="float32",
        ),
        byte_level(), dtype="F32",
    ),
)  # fmt: skip
_RANKED_WORDS = (b" the", b" of", b" and", b"ing", b" light", b"er", b"on")
# What tells a tokenizer by ranks; transformers has none for it, so upstream runs this code, which is ours.
_RANKED_CODE = """import base64

from transformers import PreTrainedTokenizer


class Ranked(PreTrainedTokenizer):
    vocab_files_names = {"vocab_file": "hy.tiktoken"}

    def __init__(self, vocab_file, **settings):
        with open(vocab_file, "rb") as file:
            lines = [line.split() for line in file if line.strip()]
        self.mergeable_ranks = {base64.b64decode(text): int(rank) for text, rank in lines}
        names = ["<|endoftext|>", "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>"]
        names += [f"<|extra_{at}|>" for at in range(SIZE - len(lines) - len(names))]
        self.special_tokens = {name: len(lines) + at for at, name in enumerate(names)}
        super().__init__(**settings)

    @property
    def vocab_size(self):
        return len(self.mergeable_ranks) + len(self.special_tokens)

    def get_vocab(self):
        return dict(self.special_tokens)

    def _convert_token_to_id(self, token):
        return self.special_tokens.get(token)

    def _convert_id_to_token(self, number):
        return str(number)

    def encode(self, text, **settings):
        return list(text.encode())
"""


def _ranked() -> dict[str, str | bytes]:
    """A tokenizer as HunYuan-A13B has it: a list of ranks, and code of its own."""
    tokens = [bytes([number]) for number in range(256)]
    tokens += dict.fromkeys(word[:cut] for word in _RANKED_WORDS for cut in range(2, len(word) + 1))
    lines = [f"{base64.b64encode(token).decode()} {rank}" for rank, token in enumerate(tokens)]
    settings = {"auto_map": {"AutoTokenizer": ["tokenization_hy.Ranked", None]}, "tokenizer_class": "Ranked"}
    return {
        "hy.tiktoken": "\n".join(lines) + "\n",
        "tokenization_hy.py": _RANKED_CODE.replace("SIZE", str(VOCABULARY)),
        "tokenizer_config.json": json.dumps(settings),
    }


_HUNYUAN_MOE: dict[str, Any] = {
    "head_dim": 128, "hidden_size": 512, "num_experts": 4, "moe_topk": [2, 2],
    "moe_intermediate_size": [256, 256],
    "num_shared_expert": [1, 1], "use_qk_norm": True, "pad_token_id": 0, "use_mixed_mlp_moe": True,
}  # fmt: skip
_HUNYUAN_MOES = (
    Variant(
        "Hunyuan-A13B-Instruct", 31,
        config(
            "HunYuanMoEV1ForCausalLM", "hunyuan_v1_moe", **_HUNYUAN_MOE, tie_word_embeddings=True,
            max_position_embeddings=32768, rope_scaling=_DYNAMIC,
        ),
        _ranked(),
    ),
    Variant(
        "hunyuan-moe-f32", 31,
        config(
            "HunYuanMoEV1ForCausalLM", "hunyuan_v1_moe",
            **{**_HUNYUAN_MOE, "num_experts": 11, "hidden_size": 256},
            attention_bias=True,
        ),
        _ranked(), dtype="F32",
    ),
)  # fmt: skip


def _minimax(experts: int, heads: int, head_dim: int, norms: bool) -> Inventory:
    shapes: Inventory = {
        "model.embed_tokens.weight": (VOCABULARY, 256), "model.norm.weight": (256,),
        "lm_head.weight": (VOCABULARY, 256),
    }  # fmt: skip
    for number in range(2):
        layer = f"model.layers.{number}."
        for name, rows in (("q", heads * head_dim), ("k", 2 * head_dim), ("v", 2 * head_dim)):
            shapes[f"{layer}self_attn.{name}_proj.weight"] = (rows, 256)
            if norms and name != "v":
                shapes[f"{layer}self_attn.{name}_norm.weight"] = (rows,)
        shapes[f"{layer}self_attn.o_proj.weight"] = (256, heads * head_dim)
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{layer}{name}.weight"] = (256,)
        moe = f"{layer}block_sparse_moe."
        shapes[f"{moe}gate.weight"] = (experts, 256)
        shapes[f"{moe}e_score_correction_bias"] = (experts,)
        for expert in range(experts):
            for name, shape in (("w1", (256, 256)), ("w2", (256, 256)), ("w3", (256, 256))):
                shapes[f"{moe}experts.{expert}.{name}.weight"] = shape
    return shapes


def _m2(**changes: Any) -> dict[str, Any]:
    base = {
        "head_dim": 64, "num_local_experts": 4, "num_experts_per_tok": 2, "rotary_dim": 32,
        "use_qk_norm": True,
        "scoring_func": "sigmoid", "use_routing_bias": True, "rope_theta": 5000000,
        "mtp_transformer_layers": 1,
    }  # fmt: skip
    return config("MiniMaxM2ForCausalLM", **{"model_type": "minimax_m2", **base, **changes})


_MINIMAX = (
    Variant("MiniMax-M2", 31, _m2(), byte_level(), inventory=_minimax(4, 4, 64, norms=True)),
    # As its first config.json said; transformers has a class of that name.
    Variant(
        "minimax-m2-as-minimax-f16", 31,
        _m2(model_type="minimax", head_dim=128, num_local_experts=11, torch_dtype="float16"),
        byte_level(), dtype="F16", vectors="F32", inventory=_minimax(11, 4, 128, norms=False),
    ),
)  # fmt: skip
_LFM2_CONFIG = {
    "norm_eps": 1e-5, "conv_L_cache": 3, "num_hidden_layers": 4, "pad_token_id": 0, "rms_norm_eps": None,
    "layer_types": ["conv", "conv", "full_attention", "conv"],
}  # fmt: skip


def _lfm2_moe(experts: int) -> Inventory:
    shapes: Inventory = {
        "model.embed_tokens.weight": (VOCABULARY, 256),
        "model.embedding_norm.weight": (256,),
    }
    for number, kind in enumerate(("conv", "full_attention", "conv")):
        layer = f"model.layers.{number}."
        shapes |= {f"{layer}operator_norm.weight": (256,), f"{layer}ffn_norm.weight": (256,)}
        if kind == "conv":
            shapes |= {
                f"{layer}conv.conv.weight": (256, 1, 3), f"{layer}conv.in_proj.weight": (768, 256),
                f"{layer}conv.out_proj.weight": (256, 256),
            }  # fmt: skip
        else:
            attention = {
                "q_proj": (256, 256),
                "k_proj": (128, 256),
                "v_proj": (128, 256),
                "out_proj": (256, 256),
            }
            norms = {"q_layernorm": (64,), "k_layernorm": (64,)}
            for name, shape in {**attention, **norms}.items():
                shapes[f"{layer}self_attn.{name}.weight"] = shape
        module = f"{layer}feed_forward."
        names = ("w1", "w2", "w3")
        if number == 0:
            shapes |= {f"{module}{name}.weight": (256, 256) for name in names}
            continue
        shapes |= {f"{module}gate.weight": (experts, 256), f"{module}expert_bias": (experts,)}
        for expert in range(experts):
            shapes |= {f"{module}experts.{expert}.{name}.weight": (256, 256) for name in names}
    return shapes


def _lfm2_moe_config(experts: int) -> dict[str, Any]:
    return config(
        "Lfm2MoeForCausalLM", "lfm2_moe", norm_eps=1e-5, conv_L_cache=3, num_hidden_layers=3,
        rms_norm_eps=None,
        layer_types=["conv", "full_attention", "conv"], num_experts=experts, num_experts_per_tok=2,
        moe_intermediate_size=256, num_dense_layers=1, use_expert_bias=True, norm_topk_prob=True,
        routed_scaling_factor=1.0, rope_theta=1000000.0,
    )  # fmt: skip


_LFM2 = (
    Variant(
        "LFM2-350M", 31,
        config(
            "Lfm2ForCausalLM", "lfm2", **_LFM2_CONFIG, block_auto_adjust_ff_dim=True, block_ff_dim=384,
            block_multiple_of=256, block_ffn_dim_multiplier=1.0, tie_word_embeddings=True,
        ),
        byte_level(),
    ),
    Variant(
        "lfm2-old-keys-f16", 31,
        config(
            "Lfm2ForCausalLM", "lfm2", **{**_LFM2_CONFIG, "layer_types": None}, full_attn_idxs=[1],
            block_auto_adjust_ff_dim=False, theta=500000.0, tie_embedding=False,
        ),
        byte_level(), dtype="F16",
    ),
    Variant("LFM2-8B-A1B", 31, _lfm2_moe_config(4), byte_level(), inventory=_lfm2_moe(4)),
    Variant(
        "lfm2-moe-f32", 31, _lfm2_moe_config(11), byte_level(), dtype="F32", inventory=_lfm2_moe(11)
    ),
)  # fmt: skip


def _step35(layers: int, further: int) -> Inventory:
    shapes: Inventory = {
        "model.embed_tokens.weight": (VOCABULARY, 256), "model.norm.weight": (256,),
        "lm_head.weight": (VOCABULARY, 256),
    }  # fmt: skip
    for number in range(layers + further):
        layer = f"model.layers.{number}."
        heads = 8 if number % 2 else 4  # windows have more
        for name, shape in {
            "input_layernorm": (256,), "post_attention_layernorm": (256,), "self_attn.q_norm": (64,),
            "self_attn.k_norm": (64,), "self_attn.q_proj": (64 * heads, 256), "self_attn.k_proj": (128, 256),
            "self_attn.v_proj": (128, 256), "self_attn.o_proj": (256, 64 * heads),
            "self_attn.g_proj": (heads, 256),
        }.items():  # fmt: skip
            shapes[f"{layer}{name}.weight"] = shape
        if number in (0, layers):
            shapes |= {f"{layer}mlp.{name}_proj.weight": (256, 256) for name in ("gate", "up", "down")}
        else:
            shapes |= {f"{layer}moe.{name}_proj.weight": (4, 256, 256) for name in ("gate", "up", "down")}
            shapes |= {
                f"{layer}share_expert.{name}_proj.weight": (256, 256) for name in ("gate", "up", "down")
            }
            shapes |= {f"{layer}moe.gate.weight": (4, 256), f"{layer}moe.router_bias": (4,)}
        if number >= layers:
            shapes |= {
                f"{layer}enorm.weight": (256,), f"{layer}hnorm.weight": (256,),
                f"{layer}eh_proj.weight": (256, 512),
                f"{layer}transformer.shared_head.norm.weight": (256,),
                f"{layer}transformer.shared_head.output.weight": (VOCABULARY, 256),
            }  # fmt: skip
    return shapes


def _step(layers: int, **changes: Any) -> dict[str, Any]:
    kinds = ["sliding_attention" if number % 2 else "full_attention" for number in range(layers + 1)]
    base = {
        "num_hidden_layers": layers, "num_key_value_heads": None, "num_attention_groups": 2, "head_dim": 64,
        "layer_types": kinds, "partial_rotary_factors": [1.0 if "s" in each[0] else 0.5 for each in kinds],
        "attention_other_setting": {"num_attention_heads": 8, "num_attention_groups": 2, "head_dim": 64},
        "sliding_window": 512, "moe_num_experts": 4, "moe_top_k": 2, "moe_intermediate_size": 256,
        "share_expert_dim": 256, "moe_router_scaling_factor": 3.0, "norm_expert_weight": True,
        "moe_layers_enum": ",".join(map(str, range(1, layers))), "rope_theta": [5000000.0, 10000.0],
        "swiglu_limits": [None] * (layers - 1) + [7.0], "swiglu_limits_shared": [0.0] * layers,
    }  # fmt: skip
    return config("Step3p5ForCausalLM", "step3p5", **{**base, **changes})


_STEP = (
    Variant(
        "Step-3.5-Flash", 31,
        _step(3, num_nextn_predict_layers=1,
            rope_scaling={**_LLAMA3, "factor": 2.0, "high_freq_factor": 32.0}),
        byte_level(), inventory=_step35(3, 1),
    ),
    Variant(
        "step35-f16", 31, _step(2, rope_theta=10000.0, swiglu_limits=None, rms_norm_eps=None), byte_level(),
        dtype="F16", inventory=_step35(2, 0),
    ),
)  # fmt: skip


_COHERE = {"layer_norm_eps": 1e-5, "rms_norm_eps": None, "pad_token_id": 0, "tie_word_embeddings": True}
_COHERES = (
    Variant(
        "c4ai-command-r-v01", 22,
        config(
            "CohereForCausalLM", "cohere", **_COHERE, logit_scale=0.0625, model_max_length=131072,
            num_key_value_heads=None,
        ),
        byte_level(),
    ),
    Variant(
        "command-r-plus-f16", 22,
        config("CohereForCausalLM", "cohere", **_COHERE, use_qk_norm=True, attention_bias=True), byte_level(),
        dtype="F16",
    ),
    Variant(
        "c4ai-command-r7b-12-2024", 22,
        config(
            "Cohere2ForCausalLM", "cohere2", **_COHERE, logit_scale=0.25, rotary_pct=1.0, sliding_window=256,
            sliding_window_pattern=2, num_hidden_layers=3,
        ),
        byte_level(),
    ),
    Variant(
        "cohere2-f32", 22,
        config(
            "Cohere2ForCausalLM", "cohere2", **_COHERE, rotary_pct=0.5, num_key_value_heads=1,
            layer_types=["sliding_attention", "full_attention"],
        ),
        byte_level(), dtype="F32",
    ),
)  # fmt: skip
_LLAMA4_TEXT: dict[str, Any] = {
    "head_dim": 64, "intermediate_size_mlp": 512, "num_local_experts": 4, "num_experts_per_tok": 1,
    "num_hidden_layers": 4, "pad_token_id": 0, "attention_chunk_size": 512,
}  # fmt: skip
_SCOUT = config(
    "Llama4ForCausalLM", "llama4_text", **_LLAMA4_TEXT, rope_theta=500000.0,
    rope_scaling={
        "factor": 16.0, "high_freq_factor": 1.0, "low_freq_factor": 1.0,
        "original_max_position_embeddings": 1024,
        "rope_type": "llama3",
    },
)  # fmt: skip


def _scout() -> Inventory:
    """The text of a published checkpoint, and something of its other parts."""
    text: Inventory = {"embed_tokens.weight": (VOCABULARY, 256), "norm.weight": (256,)}
    for number in range(4):
        layer = f"layers.{number}."
        for name, shape in {
            "input_layernorm": (256,), "post_attention_layernorm": (256,), "self_attn.q_proj": (256, 256),
            "self_attn.k_proj": (128, 256), "self_attn.v_proj": (128, 256), "self_attn.o_proj": (256, 256),
            "feed_forward.router": (4, 256), "feed_forward.shared_expert.gate_proj": (256, 256),
            "feed_forward.shared_expert.up_proj": (256, 256),
            "feed_forward.shared_expert.down_proj": (256, 256),
        }.items():  # fmt: skip
            text[f"{layer}{name}.weight"] = shape
        text[f"{layer}feed_forward.experts.gate_up_proj"] = (4, 256, 512)
        text[f"{layer}feed_forward.experts.down_proj"] = (4, 256, 256)
    return {
        **{f"language_model.model.{name}": shape for name, shape in text.items()},
        "language_model.lm_head.weight": (VOCABULARY, 256),
        "multi_modal_projector.linear_1.weight": (256, 96),
        **_scouting_eyes(3, 64, 80, 96),
    }  # fmt: skip


def _scouting_eyes(layers: int, width: int, wide: int, out: int) -> Inventory:
    """What sees: patches of 4 by 4, four of them to a side."""
    found: Inventory = {
        "class_embedding": (width,), "positional_embedding_vlm": (17, width),
        "patch_embedding.linear.weight": (width, 48),
        "vision_adapter.mlp.fc1.weight": (out, 4 * width), "vision_adapter.mlp.fc2.weight": (out, out),
    }  # fmt: skip
    vectors = ["layernorm_pre", "layernorm_post"]
    for number in range(layers):
        layer = f"model.layers.{number}."
        vectors += [f"{layer}input_layernorm", f"{layer}post_attention_layernorm"]
        for name, shape in {
            "self_attn.q_proj": (width, width), "self_attn.k_proj": (width, width),
            "self_attn.v_proj": (width, width), "self_attn.o_proj": (width, width),
            "mlp.fc1": (wide, width), "mlp.fc2": (width, wide),
        }.items():  # fmt: skip
            found |= {f"{layer}{name}.weight": shape, f"{layer}{name}.bias": shape[:1]}
    for name in vectors:
        found |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return {f"vision_model.{name}": shape for name, shape in found.items()}


_LLAMA4S = (
    Variant(
        "Llama-4-Scout-17B-16E-Instruct", 30,
        {
            "architectures": ["Llama4ForConditionalGeneration"], "model_type": "llama4",
            "text_config": {key: value for key, value in _SCOUT.items() if key != "architectures"},
            "torch_dtype": "bfloat16",
            "vision_config": {
                "model_type": "llama4_vision_model", "hidden_size": 64, "image_size": 16, "patch_size": 4,
                "intermediate_size": 80, "num_attention_heads": 4, "num_hidden_layers": 3,
                "vision_output_dim": 96,
            },
        },
        {**byte_level(), **preprocessor()}, inventory=_scout(), mmproj=("f16", "bf16", "q8_0"),
        note="upstream's `--mmproj` writes the second norm of each layer under a name of Gemma 4's, where "
        "llama.cpp applies it in the wrong place; here it has its own",
    ),
    # Dense layers between; no windows.
    Variant(
        "llama4-maverick-f16", 30,
        config(
            "Llama4ForCausalLM", "llama4_text", **_LLAMA4_TEXT,
            interleave_moe_layer_step=2, layer_types=["full_attention"] * 4, attention_bias=True,
        ),
        byte_level(), dtype="F16",
    ),
)  # fmt: skip

VARIANTS = (
    *_ERNIE, *_EXAONE, *_HUNYUAN, *_HUNYUAN_MOES, *_MINIMAX, *_LFM2, *_STEP, *_COHERES, *_LLAMA4S,
)  # fmt: skip
