"""Directories and configurations whose `general.*` and hyper-parameters upstream was asked for.

Plain data, used by `upstream` (which runs in upstream's environment) and by the tests. Each case is here
for a rule; its name says which. Nothing here imports the project.
"""

from __future__ import annotations

import json
from typing import Any

# (name or identifier, number of parameters): every rule of the hyphen heuristic, and its edges.
_IDENTIFIERS = (
    "Llama-3.2-1B-Instruct", "meta-llama/Llama-2-7b-chat-hf", "Qwen2.5-0.5B",
    "Qwen3-30B-A3B-Instruct-2507", "Mixtral-8x7B-v0.1", "bloom-7b1", "bloomz-7b1-mt", "tiny_llama-1_5b",
    "SmolLM2-135M-Instruct", "model", "", "-", "--", "a-b", "7B", "1-2-3", "v1.0", "v2-7B",
    "iter10-foo-7b", "Phi-3-mini-128k-instruct", "gpt2-xl", "gpt2-medium-7B", "small", "foo-small",
    "foo-small-large", "foo-7B-7B-small", "foo-4k", "foo-128K-8B", "Yi-34B-200K", "foo-q4_k_m",
    "foo-Q8_0-7b", "foo-fp16", "foo-bf16-1.0", "foo-f16", "foo-fpx", "foo-lora", "Foo-LoRA-Chat",
    "foo-VISION", "org/sub/name-7B", "./foo-7B", "../foo", ".hidden/foo-1b", "/abs-7b", "a b-7B",
    "org/a b", "foo--bar---7B", "foo-1.5b1", "foo-7_5B", "foo-8x22b-it", "foo-A14B", "foo-a14b",
    "foo-xxl", "foo-XL", "FOO-bar-BAZ", "mistral-7b-v0.3-instruct-v2",
    "Llama-3-70B-Instruct-v0.2-finetune-3.1", "日本語-7B", "foo-７B", "foo-1K", "foo-1k", "foo-3T",
    "foo-0B", "foo-999999999999999999999999B", "Ünï-cödé-chat", "foo-7B-foo-13B",
    "DeepSeek-R1-Distill-Qwen-1.5B", "x-1b-2", "3-foo-7b", "v1-v2-7b", "foo-v1-bar-v2-7b", "1.5-foo",
    "foo-.5B", "foo-\N{KELVIN SIGN}", "foo-7\N{KELVIN SIGN}", "foo_bar", "foo.bar-1.0",
    "Nemo-Instruct-2407", "a-0.5b-b-0.5B",
)  # fmt: skip
_COUNTS = (0, 500, 10_000, 135_000_000, 1_500_000_000, 7_000_000_000, 70_000_000_000)
IDENTIFIERS = tuple((name, count) for name in _IDENTIFIERS for count in _COUNTS)

# Parameter counts for size labels: (total, shared, expert, experts).
COUNTS = tuple(
    (total, total // 3, total // 7, experts)
    for total in (
        1, 9, 94, 95, 999, 1000, 1001, 9_949, 9_951, 99_499, 99_501, 999_999, 1_000_000, 1_000_001,
        9_950_000, 135_000_000, 999_600_000, 1_000_000_001, 1_543_714_304, 7_241_732_096, 9_960_000_000,
        70_553_706_496, 10**12 + 1, 10**15,
    )
    for experts in (0, 8)
)  # fmt: skip

_DENSE = (("token_embd.weight", (64, 8)), ("output_norm.weight", (8,)), ("rope_freqs.weight", (4,)))
_EXPERTS = (
    *_DENSE,
    ("blk.0.ffn_gate_exps.weight", (4, 16, 8)),
    ("blk.0.ffn_gate_exps.bias", (4, 16)),
    ("blk.0.ffn_down_exps.weight", (4, 8, 16)),
    ("blk.0.ffn_up_exps.bias", (2, 4, 16)),
)
_FULL_CARD = """---
name: A Name
author: An Author
version: "1.0"
organization: An Org
description: 'Words: many'
finetune: tuned
basename: base
size_label: 9Z
url: https://example.com
doi: 10.1/2
uuid: 1234-5678
repo_url: https://example.com/repo
license: [apache-2.0, mit]
license_name: both
license_link: LICENSE
quantized_by: somebody
base_model:
- org/model-7B-v2
- https://huggingface.co/org/other-v1.5-chat
- https://huggingface.co/org/other/tree/main
- http://example.com/x
- ssh://example.com/y
- plain name
- plain-name-7B
- {name: Given, author: By, version: v9, organization: O, description: d,
   url: u, doi: i, uuid: q, repo_url: r}
- {name: "", version: null, other: 1}
- 5
- null
datasets:
- org/set-v2
- https://huggingface.co/datasets/org/set
- https://huggingface.co/org/set
- {name: Own, repo_url: x}
tags: [a, b]
pipeline_tag: text-generation
language:
- en
- no
- nb
languages: de
---
# text
"""
_CARDS = {
    "full": _FULL_CARD,
    "crlf": _FULL_CARD.replace("\n", "\r\n"),
    "model-keys": "---\nmodel_name: N\nmodel_author: A\nmodel_creator: C\nmodel_version: v3\n"
    "model_type: llama\nmodel_organization: O\nmodel_description: D\nmodel_finetune: F\n"
    "model_size_label: 3B\nmodel_url: U\nmodel_doi: I\nmodel_uuid: Q\nmodel_repo_url: R\n---\n",
    "creator": "---\nmodel_creator: C\nmodel_type: llama\n---\n",
    "nulls": "---\nname: null\nmodel_name: Second\nauthor:\nlicense: ~\ntags:\nbase_model:\n---\n",
    "falsy": "---\nname: ''\nversion: 0\nauthor: false\nlicense: []\n"
    "description: {}\ntags: []\nlanguage: ''\n---\n",
    "scalars": "---\nbase_models: org/one-2B\ndataset: org/d\ntags: one\nlanguage: fr\nlicense: mit\n---\n",
    "mappings": "---\nbase_model: {name: x}\ndatasets: {a: b}\ntags: {a: b}\n---\n",
    "sources": "---\nbase_model_sources: [a/b]\ndataset_sources: [c/d]\n---\n",
    "norway": "---\nlanguage:\n- no\n- en\ntags:\n\t- x\n\t- y\n---\n",
    "integers": "---\ntags: [1, 2, 3]\nlanguage: [1.5, 2.5]\n---\n",
    "truths": "---\nlanguage: [no, yes]\n---\n",
    "no-front-matter": "# title\n---\nname: X\n---\n",
    "bom": "\ufeff---\nname: X\n---\n",
    "spaces": "--- \nname: X\n---\n",
    "unclosed": "---\nname: X\nlicense: mit\n",
    "empty": "",
    "only-mark": "---",
    "empty-matter": "---\n---\nname: X\n",
    "a-list": "---\n- name\n---\n",
    "a-text": "---\nname\n---\n",
    "line-separators": "---\nname: a\u2028license: mit\n---\n",
    "anchors": "---\nx: &a [p, q]\ntags: *a\nlanguage: *a\n---\n",
    "merge": "---\nx: &a {author: M}\n<<: *a\nname: N\n---\n",
    "unicode": "---\nname: 日本語 モデル\nauthor: \"\\u00e9\"\n---\n",
    "date-version": "---\nversion: 2024-01-01\n---\n",
    "float-version": "---\nversion: 1.0\n---\n",
    "mixed-tags": "---\ntags: [a, 1]\n---\n",
    "null-tags": "---\ntags: [a, null]\n---\n",
    "date-tags": "---\ntags: [2024-01-01]\n---\n",
    "nested-licence": "---\nlicense: [[a], b]\n---\n",
    "broken": "---\nname: [a\n---\n",
    "duplicate-anchor": "---\nname: *missing\n---\n",
    "python-tag": "---\nname: !!python/object/apply:os.getcwd []\n---\n",
    "two-documents": "---\nname: a\n--- \nname: b\n---\n",
    "bad-timestamp": "---\nname: 2024-99-99\n---\n",
    "bad-int": "---\nname: !!int x\n---\n",
    "unhashable": "---\n? [a, [b]]\n: c\n---\n",
    "surrogate": '---\nname: "\\ud800"\n---\n',
    "huge-tag": "---\ntags: [4294967296]\n---\n",
}  # fmt: skip
_ADVICE: dict[str, Any] = {
    "all": {
        "sequence": "top_k;top_p", "top_k": 40, "top_p": 0.9, "min_p": 0.05, "xtc_probability": 0.1,
        "xtc_threshold": 0.2, "temperature": 0.7, "penalty_last_n": 64, "penalty_repeat": 1.1,
        "repetition_penalty": 1.2, "mirostat": 2,
        "mirostat_tau": 5.0, "mirostat_eta": 0.1, "do_sample": True,
    },
    "usual": {"temperature": 1, "top_k": 20, "repetition_penalty": 1.05, "eos_token_id": [1, 2]},
    "nulls": {"temperature": None, "penalty_repeat": None, "repetition_penalty": 1.3, "sequence": ""},
    "negative": {"top_k": -1, "penalty_last_n": -1},
    "truth": {"top_k": True, "temperature": False},
    "empty": {},
    "float-top-k": {"top_k": 20.0},
    "text-temp": {"temperature": "hot"},
    "huge": {"top_k": 2**31},
    "huge-float": {"top_p": 1e39},
    "list": [1],
    "empty-list": [],
}  # fmt: skip


def _case(name: str, tensors: Any = _DENSE, config: Any = None, **files: str) -> dict[str, Any]:
    named = {file.replace("__", "."): text for file, text in files.items()}
    return {
        "name": name,
        "config": config or {},
        "files": named,
        "tensors": [[n, list(s)] for n, s in tensors],
    }


GENERAL = {
    **{f"card {key}": _case("Some-Model-7B-v1", README__md=text) for key, text in _CARDS.items()},
    **{
        f"advice {key}": _case("advised", generation_config__json=json.dumps(value))
        for key, value in _ADVICE.items()
    },
    "advice that is no JSON": _case("advised", generation_config__json="{"),
    "origin is a hub name": _case("local", config={"_name_or_path": "org/Origin-7B-chat-v2"}),
    "origin is a plain name": _case("local-13B", config={"_name_or_path": "Origin-v3-tuned"}),
    "origin is a path": _case("local-13B", config={"_name_or_path": "/home/x/model-7B"}),
    "origin is relative": _case("local-13B", config={"_name_or_path": "./model-7B"}),
    "origin is empty": _case("local-13B", config={"_name_or_path": ""}),
    "origin is null": _case("local-13B", config={"_name_or_path": None}),
    "origin is a number": _case("local-13B", config={"_name_or_path": 5}),
    "origin and card": _case(
        "dir-2", config={"_name_or_path": "o/M-1B"}, README__md="---\nversion: v7\nlicense: mit\n---\n"
    ),
    "experts": _case("foo-4x1K", tensors=_EXPERTS),
    "experts without a size": _case("foo", tensors=_EXPERTS),
    "nothing but a name": _case("foo"),
    "a name with spaces": _case("my model 7B"),
    "a size that fits": _case("foo-1K-bar"),
}

_BASE = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 64,
    "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5, "vocab_size": 100,
}  # fmt: skip
_KINDS = {
    "llama": {},
    "mistral": {"architectures": ["MistralForCausalLM"], "model_type": "mistral"},
    "mixtral": {"architectures": ["MixtralForCausalLM"], "model_type": "mixtral"},
    "qwen2": {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2"},
    "qwen3": {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3"},
    "unknown": {"model_type": "unheard-of"},
}
_BARE = {"architectures": ["LlamaForCausalLM"]}
_YARN = {"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 128}
_CHANGES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "theta": {"rope_theta": 1000000},
    "head_dim": {"head_dim": 32},
    "head_dim null": {"head_dim": None},
    "linear": {"rope_scaling": {"type": "linear", "factor": 2.5}},
    "linear without factor": {"rope_scaling": {"rope_type": "linear", "factor": None}},
    "yarn": {
        "rope_scaling": {**_YARN, "attention_factor": 1.5, "beta_fast": 16, "extrapolation_factor": 0.5},
    },
    "yarn, other names": {"rope_scaling": {**_YARN, "attn_factor": 1.25, "beta_slow": 2.0}},
    "yarn, context beside": {
        "rope_scaling": {"type": "yarn", "factor": 2.0}, "original_max_position_embeddings": 256,
    },
    "yarn without context": {"rope_scaling": {"type": "yarn", "factor": 2.0}},
    "dynamic": {"rope_scaling": {"type": "dynamic", "factor": 2.0}},
    "longrope": {"rope_scaling": {"type": "longrope", "short_factor": [1.0], "long_factor": [2.0]}},
    "su": {"rope_scaling": {"type": "su", "factor": 3.0}},
    "llama3": {"rope_scaling": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }},
    "empty scaling": {"rope_scaling": {}},
    "rope_parameters": {"rope_parameters": {"rope_type": "default", "rope_theta": 12345.0}},
    "rope_parameters of two": {"rope_parameters": {
        "full_attention": {**_YARN, "rope_theta": 1e6}, "sliding_attention": {"rope_theta": 1e4},
    }},
    "rope_parameters null": {"rope_parameters": None, "rope_scaling": {"type": "linear", "factor": 2.0}},
    "local theta": {"rope_local_base_freq": 5000.0},
    "mrope": {"rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]}},
    "partial": {"partial_rotary_factor": 0.5},
    "not causal": {"is_causal": False},
    "experts": {
        "num_local_experts": 4, "num_experts_per_tok": 2, "n_group": 2, "topk_group": 1,
        "scoring_func": "sigmoid",
    },
    "softmax": {"scoring_func": "softmax"},
    "unknown scores": {"scoring_func": "other"},
    "layer norm": {"layer_norm_eps": 1e-3, "norm_eps": 1e-4},
    "lists": {"intermediate_size": [128, 64], "num_key_value_heads": [2, 1]},
    "empty list": {"intermediate_size": []},
    "mixed list": {"intermediate_size": [128, "64"]},
    "no context": {"max_position_embeddings": None, "max_length": 77},
    "negative": {"num_key_value_heads": -1},
    "float": {"max_position_embeddings": 4096.0},
    "text": {"max_position_embeddings": "4096"},
    "huge": {"vocab_size": 10**30, "max_position_embeddings": 2**32},
    "huge float": {"rms_norm_eps": 1e39},
    "text eps": {"rms_norm_eps": "1e-5"},
    "integer eps": {"rms_norm_eps": 1},
    "quantised null": {"quantization_config": None},
    "dtype auto": {"torch_dtype": "auto"},
    "layers null": {"num_hidden_layers": None},
}  # fmt: skip
_POOLS = {
    "mean": {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
    "cls": {"pooling_mode_cls_token": True},
    "last": {"pooling_mode_lasttoken": True},
    "mode": {"pooling_mode": "lasttoken"},
    "max": {"pooling_mode_max_tokens": True},
}


def _pooled(pooling: dict[str, Any]) -> dict[str, str]:
    modules = [{"type": "x.Transformer", "path": ""}, {"type": "x.Pooling", "path": "1_Pooling"}]
    return {"modules.json": json.dumps(modules), "1_Pooling/config.json": json.dumps(pooling)}


def _model(kind: str, name: str = "m", files: dict[str, str] | None = None, **changes: Any) -> dict[str, Any]:
    return {"name": name, "config": {**_BASE, **_KINDS[kind], **changes}, "files": files or {}}


HPARAMS: dict[str, dict[str, Any]] = {
    **{
        f"{kind}: {change}": _model(kind, **changes)
        for kind in _KINDS
        for change, changes in _CHANGES.items()
    },
    **{
        f"pooling: {kind} {name}": _model(kind, files=_pooled(pooling))
        for kind in ("llama", "qwen2", "qwen3")
        for name, pooling in _POOLS.items()
    },
    "classifier": _model("qwen2", classifier_pooling="mean"),
    "reranker by name": _model("qwen3", name="Qwen3-Reranker-0.6B"),
    "reranker by card": _model("qwen3", files={"README.md": "# Qwen3-Reranker-4B\n"}),
    "no reranker": _model("qwen3", files={"README.md": "see Qwen3-Reranker\n"}),
    "minimal llama": {"name": "m", "config": {**_BARE, "model_type": "llama"}, "files": {}},
    "minimal qwen3": {"name": "m", "config": {**_BARE, **_KINDS["qwen3"]}, "files": {}},
}
