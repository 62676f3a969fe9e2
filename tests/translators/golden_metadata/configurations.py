"""transformers against `families.defaults`, on random configurations.

    python -m tests.translators.golden_metadata.configurations PYTHON [COUNT]    compare COUNT configurations
    python -m tests.translators.golden_metadata.configurations PYTHON --write    write configurations.json

PYTHON is the interpreter of an environment with transformers 4.57.6 and torch; it runs this same file,
which therefore imports nothing of the project outside of `main`.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).with_name("configurations.json")
# What upstream's converter looks at in a text model's configuration, for the families here.
SEEN = (
    "architectures", "model_type", "num_hidden_layers", "n_layers", "max_position_embeddings",
    "max_length", "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads",
    "is_causal", "rope_parameters", "rope_scaling", "rope_theta", "partial_rotary_factor",
    "original_max_position_embeddings", "rope_local_base_freq", "rms_norm_eps", "norm_eps",
    "layer_norm_eps", "num_local_experts", "num_experts", "num_experts_per_tok", "n_group", "topk_group",
    "scoring_func", "head_dim", "vocab_size", "moe_intermediate_size", "shared_expert_intermediate_size",
    "sliding_window", "layer_types", "tie_word_embeddings", "quantization_config", "draft_vocab_size",
    "classifier_pooling",
)  # fmt: skip
_TYPES = (
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "mixtral",
    "ministral",
    "qwen2_moe",
    "qwen3_moe",
    "code_llama",
)
_NAMES = ("model", "My-llama-7b", "mistral-mini", "Qwen2-x", "qwen3_moe_tiny", "Yi-6B")
_ODD = (None, 0, 1, -3, 2.5, 4096.0, "text", [], {}, True, [1, 2], {"a": 1})
_SCALINGS: tuple[Any, ...] = (
    None, {}, {"type": "linear", "factor": 2.0}, {"rope_type": "linear", "factor": 4}, {"type": "linear"},
    {"rope_type": "linear", "type": "dynamic", "factor": 4.0}, {"rope_type": "dynamic", "factor": 2.0},
    {"type": "dynamic"}, {"rope_type": "default"}, {"factor": 3.0}, {"rope_type": None},
    {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}, {"type": "yarn"},
    {"type": "yarn", "factor": 4.0, "beta_fast": 1, "beta_slow": 32.0, "attention_factor": 1.5},
    {"type": "yarn", "factor": 2.0, "original_max_position_embeddings": 0},
    {"type": "yarn", "factor": 2.0, "beta_fast": "32"}, {"type": "su", "short_factor": [1.0]},
    {"type": "longrope", "short_factor": [1.0, 2.0], "long_factor": [1.0, 2.0], "factor": 4.0},
    {"type": "longrope", "short_factor": 3, "long_factor": [1.0]}, {"type": "unheard_of", "factor": 9},
    {"type": "longrope", "short_factor": {"1": 2}, "long_factor": "ab"}, {"type": ["linear"]},
    {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
     "original_max_position_embeddings": 8192},
    {"type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
    {"type": "llama3", "factor": 8.0, "low_freq_factor": None, "high_freq_factor": 4.0,
     "original_max_position_embeddings": 8192},
    {"type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 1,
     "original_max_position_embeddings": "8192"},
    {"type": "mrope", "mrope_section": [16, 24, 24]}, "linear", 7, ["linear"],
)  # fmt: skip
# Keys besides the usual, with values of which some make AutoConfig refuse the file.
_OTHERS: dict[str, tuple[Any, ...]] = {
    "torch_dtype": ("bfloat16", "float16", "auto", "torch.float32", None, 5, 1.5, [], {"a": "b"}),
    "dtype": ("float32", None, "nonsense", []),
    "quantization_config": (None, {"quant_method": "gptq"}, [], {"dtype": ["x"]}),
    "label2id": ({"a": 0}, None, []),
    "id2label": ({"0": "a", "1": "b"}, {"a": "b"}, None, ["a"]),
    "num_labels": (1, None, "2", 1.0),
    "problem_type": ("regression", "other", None),
    "pruned_heads": ({}, {"1": [0]}, {"x": []}, None, []),
    "auto_map": ({"AutoConfig": "configuration.Own"}, {"AutoModel": "m.M"}, None, "AutoConfig", []),
    "layer_types": (None, [], ["full_attention"], ["full_attention"] * 2, ["other"] * 2, 3),
    "use_sliding_window": (True, False, None),
    "max_window_layers": (0, 1, 28, None, "1"),
    "rope_parameters": (None, {"rope_theta": 5.0, "rope_type": "default"}),
    "head_dim": (64, None, 0, "64"),
    "vocab_size": (None, 5, 0.5),
    "is_causal": (False, True),
    "text_config": ({"hidden_size": 77, "architectures": ["LlamaForCausalLM"]}, {}),
    "_name_or_path": ("org/model-7B", "", None),
    "name_or_path": ("x",),
    "max_length": (30,),
    "self": (1,),
    "use_return_dict": (True,),
    "gradient_checkpointing": (True,),
    "num_local_experts": (4,),
    "num_experts": (6, None),
    "original_max_position_embeddings": (4096,),
    "tie_word_embeddings": (True, None),
}


def cases(count: int, seed: int = 20260) -> list[tuple[str, dict[str, Any]]]:
    """Directory names with configurations: usual ones, with keys removed, changed and added."""
    chance = random.Random(seed)
    return [_case(chance) for _ in range(count)]


def _case(chance: random.Random) -> tuple[str, dict[str, Any]]:
    config: dict[str, Any] = {
        "architectures": ["LlamaForCausalLM"], "model_type": chance.choice(_TYPES), "hidden_size": 256,
        "intermediate_size": 512, "max_position_embeddings": 2048, "num_attention_heads": 8,
        "num_hidden_layers": 2, "num_key_value_heads": 4,
        "rms_norm_eps": 1e-5, "rope_theta": 500000.0, "vocab_size": 1000, "sliding_window": 128,
    }  # fmt: skip
    if chance.random() < 0.6:
        config["rope_scaling"] = chance.choice(_SCALINGS)
    for key in list(config):
        if chance.random() < 0.15:
            del config[key]
        elif chance.random() < 0.02 and key != "architectures":
            config[key] = chance.choice(_ODD)
    if chance.random() < 0.03:
        config["model_type"] = chance.choice(("unknown_type", "Yi", None, ["llama"], ""))
    for key, values in _OTHERS.items():
        if chance.random() < 0.05:
            config[key] = chance.choice(values)
    return chance.choice(_NAMES), json.loads(json.dumps(config))


def seen(config: dict[str, Any]) -> dict[str, Any]:
    """What of a completed configuration a converted file can show."""
    return {key: config[key] for key in SEEN if key in config}


def _answer_as_upstream() -> None:
    """Read cases from stdin, write what upstream's load_hparams and TextModel make of each to stdout."""
    from transformers import AutoConfig  # noqa: PLC0415

    answers = []
    with tempfile.TemporaryDirectory() as parent:
        # Relative paths: AutoConfig looks for the names of types in the whole path.
        os.chdir(parent)
        for name, config in json.load(sys.stdin):
            Path(name).mkdir(exist_ok=True)
            Path(name, "config.json").write_text(json.dumps(config))
            try:
                whole = AutoConfig.from_pretrained(Path(name), trust_remote_code=False).to_dict()
            except Exception:
                whole = config
            answers.append(seen({**whole, **whole.get("text_config", {})}))
    json.dump(answers, sys.stdout)


def ask(python: str, asked: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    """What transformers makes of each case, by an interpreter that has it."""
    command = [python, __file__, "--answer"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "critical"}
    done = subprocess.run(
        command, input=json.dumps(asked), capture_output=True, text=True, check=True, env=environment
    )
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


def main() -> None:
    """Compare, or write the golden file."""
    from translators.families.defaults import completed  # noqa: PLC0415

    python, *rest = sys.argv[1:]
    if rest == ["--write"]:
        asked = cases(160)
        lines = [
            json.dumps([name, config, answer], sort_keys=True, separators=(",", ":"))
            for (name, config), answer in zip(asked, ask(python, asked), strict=True)
        ]
        GOLDEN.write_text("[\n" + ",\n".join(lines) + "\n]\n")
        return
    asked = cases(int(rest[0]) if rest else 2000, seed=random.randrange(10**9))
    different = 0
    for (name, config), answer in zip(asked, ask(python, asked), strict=True):
        ours = seen(completed(config, Path(name)))
        if ours != answer:
            different += 1
            keys = [key for key in SEEN if ours.get(key, ...) != answer.get(key, ...)]
            print(name, json.dumps(config), {key: (ours.get(key), answer.get(key)) for key in keys})
    print(f"{len(asked)} configurations, {different} differences")
    sys.exit(different > 0)


if __name__ == "__main__":
    if sys.argv[1:] == ["--answer"]:
        _answer_as_upstream()
    else:
        main()
