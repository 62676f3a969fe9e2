"""Strangers: random relatives of the variants, of which no digests are committed, against upstream at once.

    python -m tests.oracle.families.strangers [NAME ...] [--seed 1] [--count 100]

Each is a variant with some of its configuration changed by chance: sizes, heads, experts, layers, what is
tied or biased, bases and scalings of rotations, precisions, shards, keys left out. transformers says which
tensors it then has, upstream converts and quantises it, and ours has to be equal, or refused where upstream
fails. What neither can make of it is told too, and counts for nothing. Needs what environment.sh builds.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import translators
from tests.oracle.families.comparison import differs, plans_of, whole
from tests.oracle.families.regenerate import Failed, Upstream, golden
from tests.oracle.families.variant import Variant, variants_by_name

_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_WIDTHS = ("intermediate_size", "moe_intermediate_size", "ffn_dim", "n_inner", "d_ff", "ffn_hidden_size")
_HEADS, _GROUPS = ("num_attention_heads", "n_head", "n_heads"), ("num_key_value_heads", "num_kv_heads")
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts")
_EPSILONS = ("rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon", "norm_epsilon", "norm_eps")
_LENGTHS = ("max_position_embeddings", "n_positions", "sliding_window")
_TYPES = ("q8_0", "q4_k_m", "q2_k", "q5_k_s", "q6_k", "iq4_xs", "q3_k_l", "q4_0")
_SCALINGS: tuple[dict[str, Any] | None, ...] = (
    None,
    {"rope_type": "linear", "factor": 2.5},
    {"type": "linear", "factor": 3},
    {"rope_type": "dynamic", "factor": 2.0},
    {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 1024},
    {"rope_type": "yarn", "factor": 3.7, "original_max_position_embeddings": 4096, "attention_factor": 1.1},
    {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 512,
    },
)  # fmt: skip

Config = dict[str, Any]


def stranger(variant: Variant, chance: random.Random) -> Variant:
    """A relative of a variant."""
    config = dict(variant.config)
    for key in [key for key in config if key.endswith("_config") and isinstance(config[key], Mapping)]:
        config[key] = _changed(dict(config[key]), chance, ())
    kept = ("architectures", "model_type", "auto_map", "vocab_size")
    dtype = chance.choice(("BF16", "BF16", "F16", "F32", variant.dtype))
    return replace(
        variant,
        name=chance.choice(
            (variant.name, f"Org_{variant.name}-{chance.randint(1, 90)}B-Instruct-v0.{chance.randint(1, 9)}")
        ),
        config=_changed(config, chance, kept),
        dtype=dtype,
        dtypes=variant.dtypes if chance.random() < 0.5 else {},
        vectors=chance.choice((variant.vectors, "", "F32")),
        shards=chance.choice((1, 1, 2, 3)),
        types=tuple(chance.sample(_TYPES, 2)),
    )


def _changed(config: Config, chance: random.Random, kept: tuple[str, ...]) -> Config:
    for change in (_sizes, _numbers, _switches, _scaling):
        change(config, chance)
    # What the configuration leaves out, transformers' class decides.
    plain = [key for key, value in config.items() if key not in kept and not isinstance(value, Mapping)]
    if plain and chance.random() < 0.4:
        del config[chance.choice(plain)]
    return config


def _sizes(config: Config, chance: random.Random) -> None:
    layers = next((config[key] for key in _LAYERS if isinstance(config.get(key), int)), 0)
    for key in _LAYERS:
        # What is told layer by layer would have to be told anew.
        if key in config and not any(
            isinstance(value, list) and len(value) == layers for value in config.values()
        ):
            config[key] = chance.choice((config[key], config[key], 3, 11))
    for key in _WIDTHS:
        if isinstance(config.get(key), int) and chance.random() < 0.5:
            config[key] = chance.choice((96, 128, 320, 512, 768))
    for heads, groups in zip(_HEADS, (*_GROUPS, ""), strict=True):
        if isinstance(config.get(heads), int) and isinstance(config.get(groups), int):
            fitting = [count for count in range(1, config[heads] + 1) if config[heads] % count == 0]
            config[groups] = chance.choice((config[groups], *fitting))
    for key in _EXPERTS:
        if isinstance(config.get(key), int) and chance.random() < 0.5:
            config[key] = chance.choice((4, 8, 12))


def _numbers(config: Config, chance: random.Random) -> None:
    if "rope_theta" in config and chance.random() < 0.6:
        config["rope_theta"] = chance.choice((10000, 10000.0, 5e5, 1e6, 1234567.5, 8e6))
    for key in _EPSILONS:
        if key in config and chance.random() < 0.5:
            config[key] = chance.choice((1e-5, 1e-6, 1e-12, 3.3e-7))
    for key in ("max_position_embeddings", "n_positions", "sliding_window", "num_experts_per_tok"):
        if isinstance(config.get(key), int) and not isinstance(config[key], bool) and chance.random() < 0.4:
            config[key] = (
                config[key] * chance.choice((1, 1, 2)) if "experts" in key else chance.randint(300, 200000)
            )
    for key, value in config.items():
        if isinstance(value, float) and key not in (*_EPSILONS, "rope_theta") and chance.random() < 0.3:
            config[key] = round(value * chance.uniform(0.5, 1.5), 4)


def _switches(config: Config, chance: random.Random) -> None:
    if chance.random() < 0.3:
        config["tie_word_embeddings"] = not config.get("tie_word_embeddings", False)
    for key, value in config.items():
        if isinstance(value, bool) and key != "tie_word_embeddings" and chance.random() < 0.12:
            config[key] = not value


def _scaling(config: Config, chance: random.Random) -> None:
    if "rope_theta" in config and chance.random() < 0.3:
        config["rope_scaling"] = chance.choice(_SCALINGS)


def outcome(variant: Variant, upstream: Upstream) -> str:
    """ "equal", or what came of it, after a word by which it is counted."""
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory)
        try:
            made = golden(variant, work, upstream)
        except Failed as failure:
            return _neither(variant, work, str(failure))
        except Exception as error:  # the library that quantises refuses by failing
            return f"unusable: {type(error).__name__}: {error}"
        made["inventory"] = {name: tuple(shape) for name, shape in made["inventory"].items()}
        try:
            plans = plans_of(variant, made, work / "ours")
            for target in made["files"]:
                found = differs(variant, made, target, whole(plans, target))
                if found:
                    return f"different: {target}: {found}"
        except Exception as error:  # a table is of no use if one stranger stops it
            return f"different: {type(error).__name__}: {error}"
    return "equal"


def _neither(variant: Variant, work: Path, reason: str) -> str:
    """What ours makes of what upstream fails with."""
    told = reason.strip().splitlines()[-1][:160]
    folder = next((work / "built").glob("*"), None) if (work / "built").is_dir() else None
    if folder is None:
        return f"unusable: {told}"
    try:
        plans = translators.plans(translators.open_model(folder))
    except translators.TranslationError:
        return f"refused by both: {told}"
    made = any(
        name.startswith("model.gguf-") and isinstance(plan, translators.Plan) for name, plan in plans.items()
    )
    return f"only ours: upstream: {told}" if made else f"refused by both: {told}"


def main() -> int:
    """Print what is not equal as it is found, and a count of outcomes at the end."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("names", nargs="*", help="of variants, or what they begin with; all unless named")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--count", type=int, default=100)
    chosen = options.parse_args()
    # Tensors that are told, not asked for, fit one configuration; a note tells what upstream does wrong.
    variants = [
        variant
        for variant in variants_by_name().values()
        if variant.name.startswith(tuple(chosen.names or [""]))
        and not (variant.inventory or variant.changed or variant.note)
    ]
    chance, counts = random.Random(chosen.seed), Counter[str]()
    with Upstream() as upstream:
        for number in range(chosen.count):
            variant = chance.choice(variants)
            relative = stranger(variant, chance)
            found = outcome(relative, upstream)
            kind = found.partition(":")[0]
            counts[kind] += 1
            if kind != "equal":
                print(f"{number} {relative.name}: {found}\n    {_difference(variant, relative)}", flush=True)
    print(", ".join(f"{count} {kind}" for kind, count in counts.most_common()))
    return 1 if counts["different"] else 0


def _difference(of: Variant, relative: Variant) -> str:
    """What was changed."""
    told = _changes(of.config, relative.config)
    return f"{relative.dtype} {relative.vectors} in {relative.shards}: {told}"


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Config:
    told: Config = {}
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key, "left out")
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            told |= {f"{key}.{inner}": value for inner, value in _changes(before, after).items()}
        elif before != after:
            told[key] = after
    return told


if __name__ == "__main__":
    sys.exit(main())
