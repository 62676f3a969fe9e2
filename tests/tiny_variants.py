"""The tiny models: each is here for something that decides a byte of a GGUF, named in its comment.

    MODELS["Tiny-Llama-3-8B-Instruct-v0.2"]    # by directory name, which is itself part of the metadata

Together they cover the families, heads, rope scalings, biases, dtypes, shards, shape fallbacks, layer counts
(rules of llama-quantize that look at a layer's number), tokenizer files, templates and model cards.
"""

from __future__ import annotations

import json
from typing import Any

from tests.tiny_models import RARE_TYPES, TYPES, TinyModel
from tests.tiny_tokenizers import SIZE, byte_fallback_files, sentencepiece_files

_TEMPLATE = "{% for m in messages %}<|{{ m.role }}|>\n{{ m.content }}</s>\n{% endfor %}"
_SHORT = ("f32", "f16", "bf16", "q8_0", "q4_0", "q2_k", "q3_k_m", "q4_k_s", "q4_k_m", "q6_k", "iq4_xs")


def _config(kind: str, **changes: Any) -> dict[str, Any]:
    """A configuration with 256-element rows; a change to None removes the key."""
    base = {
        "architectures": [f"{kind.capitalize()}ForCausalLM"],
        "model_type": kind,
        "hidden_act": "silu",
        "hidden_size": 256,
        "intermediate_size": 256,
        "max_position_embeddings": 2048,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 1,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
        "vocab_size": SIZE,
    }
    return {key: value for key, value in {**base, **changes}.items() if value is not None}


def _content(text: str, special: bool = True) -> dict[str, Any]:
    return {
        "content": text,
        "lstrip": False,
        "normalized": False,
        "rstrip": False,
        "single_word": False,
        "special": special,
    }


_CARD = """---
license: apache-2.0
language:
- en
- no
- de
base_model: examples/Tiny-Llama-3-8B
tags:
- tiny
- test
pipeline_tag: text-generation
datasets:
- examples/words-1.5
---
# Tiny
"""

_LLAMA = (
    # Llama 3: grouped queries, llama3 rope scaling (rope_freqs), 9 layers; a model card; sampling parameters.
    TinyModel(
        "Tiny-Llama-3-8B-Instruct-v0.2",
        _config(
            "llama",
            num_hidden_layers=9,
            intermediate_size=512,
            rope_theta=500000.0,
            max_position_embeddings=131072,
            eos_token_id=[2, 1],
            rope_scaling={
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 8192,
                "rope_type": "llama3",
            },
        ),
        files={
            **sentencepiece_files(chat_template=_TEMPLATE, add_bos_token=True, add_eos_token=False),
            "README.md": _CARD,
            "generation_config.json": json.dumps(
                {"do_sample": True, "temperature": 0.6, "top_p": 0.9, "top_k": 40}
            ),
        },
    ),
    # Llama 1: multi-head attention, no rope_theta or key-value heads in its configuration, f16 shards.
    TinyModel(
        "llama-mha",
        _config(
            "llama",
            num_key_value_heads=None,
            rope_theta=None,
            torch_dtype="float16",
            _name_or_path="examples/Ancient-Llama-7b-hf",
            pad_token_id=0,
        ),
        dtype="F16",
        shards=2,
        files=sentencepiece_files(add_bos_token=True, add_eos_token=False, legacy=True),
        types=TYPES + RARE_TYPES,
    ),
    # A tied head, f32, the tokenizer in tokenizer.json alone, a chat token behind the vocabulary.
    TinyModel(
        "TinyLlama_v1.1-Chat",
        _config(
            "llama", tie_word_embeddings=True, torch_dtype="float32", vocab_size=SIZE + 1, num_hidden_layers=3
        ),
        dtype="F32",
        files=byte_fallback_files(
            "<|im_end|>",
            bos_token={"__type": "AddedToken", **_content("<s>")},
            pad_token="</s>",
            chat_template=_TEMPLATE,
        ),
    ),
    # Biases everywhere (q and k of them are permuted as well), shards without an index, no metadata.
    TinyModel(
        "Biased-llama-1.5b",
        _config("llama", attention_bias=True, mlp_bias=True, num_key_value_heads=2),
        shards=3,
        index=False,
        metadata=None,
        shuffled=True,
        files=sentencepiece_files(add_prefix_space=False),
    ),
    # Linear rope scaling in its old spelling; f32 norms among bf16 matrices; additional tokens in two places.
    TinyModel(
        "linear-rope-16k",
        _config("llama", rope_scaling={"type": "linear", "factor": 4.0}, vocab_size=SIZE + 8),
        vectors="F32",
        files={
            **sentencepiece_files(
                added_tokens_decoder={
                    "0": _content("<unk>"),
                    "1": _content("<s>"),
                    "2": _content("</s>"),
                    str(SIZE + 1): _content("<|tool|>", special=False),
                    str(SIZE + 2): _content("▁▁▁", special=False),
                }
            ),
            "added_tokens.json": json.dumps({"<added>": SIZE, "<beyond>": SIZE + 100}),
        },
    ),
    # YaRN; templates by name; one matrix of another dtype than the others.
    TinyModel(
        "Llama-2-13B-yarn-64K",
        _config(
            "llama",
            rope_scaling={
                "rope_type": "yarn",
                "factor": 16.0,
                "original_max_position_embeddings": 4096,
                "attention_factor": 1.25,
                "beta_fast": 32.0,
                "beta_slow": 1.0,
            },
        ),
        dtypes={"layers.1.mlp.down_proj.weight": "F16", "layers.0.self_attn.k_proj.weight": "F32"},
        files=sentencepiece_files(
            chat_template=[
                {"name": "default", "template": _TEMPLATE},
                {"name": "tool_use", "template": "{{ tools }}" + _TEMPLATE},
            ]
        ),
    ),
    # An explicit head_dim that is not hidden / heads; the first matrix in upstream's order alone is f16.
    TinyModel(
        "org_head-dim-test-finetune-0.5B",
        _config("llama", head_dim=32, num_attention_heads=16, num_key_value_heads=8),
        dtypes={"lm_head.weight": "F16"},
        files={
            **byte_fallback_files(),
            "chat_template.jinja": _TEMPLATE + "\n",
            "special_tokens_map.json": "{}",
        },
    ),
    # Rows of 288 and 320: every K type falls back.
    TinyModel(
        "fallback-288",
        _config(
            "llama", hidden_size=288, intermediate_size=320, num_attention_heads=6, num_key_value_heads=2
        ),
        files=sentencepiece_files(),
        types=TYPES + RARE_TYPES,
    ),
    # Rows of 80 and 72: not even whole blocks of 32, so F16.
    TinyModel(
        "fallback-80",
        _config(
            "llama",
            hidden_size=80,
            intermediate_size=72,
            num_attention_heads=4,
            num_key_value_heads=4,
            tie_word_embeddings=True,
        ),
        dtype="F32",
        files=sentencepiece_files(),
    ),
    # 17 layers: the rules that look at the first sixteenth. Keys of 1:4 and more.
    TinyModel(
        "Deep-1.1B-Base",
        _config(
            "llama",
            num_hidden_layers=17,
            num_attention_heads=8,
            head_dim=8,
            num_key_value_heads=2,
            vocab_size=SIZE + 3,
        ),
        files=sentencepiece_files(),
        types=(*_SHORT, "q3_k_s", "q3_k_l", "q5_k_s", "q5_k_m", "iq4_nl", "iq3_m"),
    ),
    # 80 layers and grouped queries: what llama-quantize takes for a 70B model. Half of its rows fall back.
    TinyModel(
        "Shape-of-70B",
        _config(
            "llama",
            num_hidden_layers=80,
            num_attention_heads=4,
            head_dim=8,
            num_key_value_heads=2,
            intermediate_size=32,
        ),
        dtype="F16",
        files=sentencepiece_files(),
        types=("f16", "q2_k", "q3_k_s", "q3_k_m", "q4_k_m", "iq4_xs"),
    ),
    # CodeLlama's 32016 tokens bring infill ids; more rows than the tokenizer has pieces.
    TinyModel(
        "CodeTiny-7b-Instruct-hf",
        _config(
            "llama",
            vocab_size=32016,
            hidden_size=32,
            intermediate_size=64,
            num_attention_heads=2,
            tie_word_embeddings=True,
            rope_theta=1000000,
            num_hidden_layers=1,
        ),
        files=sentencepiece_files(),
        types=("f32", "bf16", "q8_0", "q4_k_m"),
    ),
)

_MISTRAL = (
    # A sliding window, shards in f16.
    TinyModel(
        "Mistral-7B-Instruct-v0.1",
        _config(
            "mistral",
            sliding_window=512,
            max_position_embeddings=32768,
            torch_dtype="float16",
            num_key_value_heads=2,
        ),
        dtype="F16",
        shards=2,
        files=sentencepiece_files(
            chat_template="{{ bos_token }}{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}"
        ),
    ),
    # Nemo: head_dim of its own, no window; template in chat_template.json; a card with lists of bases.
    TinyModel(
        "Mistral-Nemo-Base-2407",
        _config(
            "mistral",
            sliding_window=None,
            head_dim=64,
            num_attention_heads=8,
            num_key_value_heads=2,
            rope_theta=1000000.0,
        ),
        shuffled=True,
        files={
            **byte_fallback_files("<|im_start|>", "<|im_end|>"),
            "chat_template.json": json.dumps({"chat_template": _TEMPLATE}),
            "README.md": "---\nlicense: other\nlicense_name: tiny-licence\nlicense_link: https://example.com/licence\n"
            "base_model:\n- examples/One-7B\n- examples/Two-7B-v2\n"
            "model_name: Tiny Nemo\nquantized_by: nobody\n---\n",
        },
    ),
)

_QWEN = (
    # Qwen2: biases of q, k and v, tied, 8 layers.
    TinyModel(
        "Qwen2.5-0.5B-Instruct",
        _config(
            "qwen2",
            num_hidden_layers=8,
            tie_word_embeddings=True,
            rope_theta=1000000.0,
            rms_norm_eps=1e-6,
            use_sliding_window=False,
            sliding_window=4096,
            max_window_layers=8,
            bos_token_id=1,
        ),
        files={
            **sentencepiece_files(chat_template=_TEMPLATE, bos_token=None),
            "generation_config.json": json.dumps(
                {
                    "repetition_penalty": 1.1,
                    "temperature": 0.7,
                    "top_p": 0.8,
                    "top_k": 20,
                    "min_p": 0,
                }
            ),
        },
        types=TYPES + RARE_TYPES,
    ),
    # Untied, f32, yarn as Qwen's cards advise it; grouped queries 1:4.
    TinyModel(
        "DeepSeek-R1-Distill-Qwen-1.5B",
        _config(
            "qwen2",
            rope_theta=10000,
            torch_dtype="float32",
            rope_scaling={"factor": 4.0, "original_max_position_embeddings": 32768, "type": "yarn"},
        ),
        dtype="F32",
        shards=2,
        files=sentencepiece_files(),
    ),
    # The base class: names without "model.", no head; pooling for embeddings.
    TinyModel(
        "gte-Qwen2-1.5B-instruct",
        _config("qwen2", architectures=["Qwen2Model"], num_key_value_heads=2, num_hidden_layers=1),
        dtype="F16",
        files={
            **sentencepiece_files(),
            "modules.json": json.dumps(
                [
                    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                    {
                        "idx": 1,
                        "name": "1",
                        "path": "1_Pooling",
                        "type": "sentence_transformers.models.Pooling",
                    },
                ]
            ),
            "1_Pooling/config.json": json.dumps({"pooling_mode_lasttoken": True}),
        },
        types=("f32", "f16", "bf16", "q8_0", "q4_k_m"),
    ),
    # Qwen3: q and k norms, heads of 128, tied.
    TinyModel(
        "Qwen3-0.6B",
        _config(
            "qwen3",
            head_dim=128,
            num_attention_heads=4,
            num_key_value_heads=2,
            tie_word_embeddings=True,
            num_hidden_layers=4,
            rope_theta=1000000,
            attention_bias=False,
            max_position_embeddings=40960,
        ),
        files={
            **sentencepiece_files(),
            "chat_template.jinja": _TEMPLATE,
            "additional_chat_templates/tools.jinja": "{{ tools }}",
            "generation_config.json": json.dumps(
                {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95}
            ),
        },
    ),
    # Untied, in f16 with f32 norms.
    TinyModel(
        "Qwen3-8B-Base",
        _config("qwen3", head_dim=128, num_attention_heads=2, num_key_value_heads=2, intermediate_size=512),
        dtype="F16",
        vectors="F32",
        shards=2,
        files=sentencepiece_files(clean_up_tokenization_spaces=False),
    ),
)

MODELS: dict[str, TinyModel] = {model.name: model for model in _LLAMA + _MISTRAL + _QWEN}
