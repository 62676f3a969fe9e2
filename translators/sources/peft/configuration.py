"""adapter_config.json: what a LoRA adapter is, and how strongly each of its parts counts.

What changes the merged weights in a way that is not computed here, or may (a key that nobody here knows, with
a value other than none), is refused by its name: an adapter is merged right or not at all.
Knows nothing of tensors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from translators.errors import MalformedSource, TranslationError, Unsupported
from translators.sources.recognise import ADAPTER_CONFIG
from translators.sources.side_files import json_object
from translators.sources.stored_file import shown

# Keys that tell how an adapter was trained or is loaded, not what it holds.
_OF_NO_EFFECT = frozenset(
    (
        "auto_mapping", "base_model_name_or_path", "bias", "ensure_weight_tying", "eva_config",
        "exclude_modules", "inference_mode", "layers_pattern", "layers_to_transform", "loftq_config",
        "lora_dropout", "megatron_core", "modules_to_save", "peft_version", "qalora_group_size", "revision",
        "runtime_config", "target_modules", "task_type", "unsloth_fixed", "unsloth_version",
    )
)  # fmt: skip
_READ = frozenset(
    (
        "alpha_pattern", "fan_in_fan_out", "init_lora_weights", "lora_alpha", "lora_bias", "peft_type", "r",
        "rank_pattern", "target_parameters", "use_dora", "use_rslora",
    )
)  # fmt: skip
_WHY = {
    "alora_invocation_tokens": "an activated LoRA holds for a part of the text only",
    "layer_replication": "layers of the base model are repeated",
    "trainable_token_indices": "single rows of the embedding are replaced",
    "corda_config": "the base model's weights were changed as well (CorDA)",
    "megatron_config": "layers are divided among processes",
    "use_qalora": "inputs are pooled in groups (QALoRA)",
    "use_bdlora": "factors are block-diagonal (BD-LoRA)",
    "arrow_config": "adapters are chosen for each token (Arrow)",
}
# Starts that leave the base model's weights as they are; PiSSA, OLoRA, CorDA and LoftQ do not.
_PLAIN_STARTS = (None, True, False, "gaussian", "eva", "orthogonal", "default")
# Of regular expressions in patterns: names, and `.*` between them; nothing that can take long to match.
_SIMPLE = re.compile(r"\^?[\w.\-\\*]+\$?", re.ASCII)
_MOST_STARS = 1
# From this version on PEFT asks the class how its parameters lie; it also tells its version in every adapter.
_SWAPS = (0, 19)


@dataclass(frozen=True)
class Settings:
    """An adapter's settings. rank and alpha: of a module where no pattern says otherwise.

    parameters: ends of the names of weights that are adapted without being layers; `unswapped`: PEFT was one
    that took all of these to be [experts, inputs, outputs].
    """

    root: Path
    rank: int
    alpha: float
    ranks: Mapping[re.Pattern[str], int]
    alphas: Mapping[re.Pattern[str], float]
    rank_stabilised: bool
    dora: bool
    parameters: tuple[str, ...]
    unswapped: bool

    @property
    def path(self) -> str:
        """Where they were read, for a person."""
        return shown(self.root / ADAPTER_CONFIG)

    def rank_of(self, module: str) -> int:
        """The rank that the factors of a module have."""
        return next((rank for pattern, rank in self.ranks.items() if pattern.fullmatch(module)), self.rank)

    def scale_of(self, module: str) -> float:
        """What the product of a module's factors is multiplied by."""
        alpha = next((each for pattern, each in self.alphas.items() if pattern.fullmatch(module)), self.alpha)
        rank = self.rank_of(module)
        return alpha / (math.sqrt(rank) if self.rank_stabilised else rank)


def settings_of(root: Path) -> Settings:
    """The settings of the adapter in a directory. Raises MalformedSource, MissingSource, Unsupported."""
    path = root / ADAPTER_CONFIG
    told = json_object(path)
    try:
        return _settings(told, root)
    except TranslationError as error:
        error.path = shown(path)
        raise


def _settings(told: Mapping[str, Any], root: Path) -> Settings:
    if told.get("peft_type") != "LORA":
        reason = f"adapters of peft_type {told.get('peft_type')!r:.60} are not merged, LORA is"
        raise Unsupported(reason, place="peft_type", remedy="merge it with PEFT")
    for key, value in told.items():
        if value in (None, False, [], {}, "") or key in _READ or key in _OF_NO_EFFECT:
            continue
        reason = _WHY.get(key, "nothing here knows what it does to the merged weights")
        raise Unsupported(f"not merged: {reason}", place=f"{key:.60}", remedy="merge it with PEFT")
    start = told.get("init_lora_weights", True)
    if not isinstance(start, bool | str | None) or start not in _PLAIN_STARTS:
        raise Unsupported(
            f"not merged: {start!r:.60} begins with other weights than the base model's",
            place="init_lora_weights", remedy="save the adapter converted to LoRA, as PEFT can",
        )  # fmt: skip
    return Settings(
        root,
        _rank("r", told.get("r", 8)),
        _number("lora_alpha", told.get("lora_alpha", 8)),
        {_pattern("rank_pattern", key): _rank(key, value) for key, value in _table(told, "rank_pattern")},
        {_pattern("alpha_pattern", key): _number(key, value) for key, value in _table(told, "alpha_pattern")},
        bool(told.get("use_rslora")),
        bool(told.get("use_dora")),
        _names(told, "target_parameters"),
        _is_before(told.get("peft_version"), _SWAPS),
    )


def _table(told: Mapping[str, Any], key: str) -> list[tuple[str, object]]:
    table = told.get(key) or {}
    if not isinstance(table, dict):
        raise MalformedSource("is no table of patterns", place=key, remedy="fetch the adapter again")
    return list(table.items())


def _names(told: Mapping[str, Any], key: str) -> tuple[str, ...]:
    names = told.get(key) or []
    if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
        raise MalformedSource("is no list of names", place=key, remedy="fetch the adapter again")
    return tuple(names)


def _is_before(version: object, than: tuple[int, int]) -> bool:
    """Whether a version, "0.18.1", is an earlier one. Versions that are not told are the earliest."""
    match = re.match(r"(\d{1,6})\.(\d{1,6})", version) if isinstance(version, str) else None
    return match is None or (int(match[1]), int(match[2])) < than


def _pattern(key: str, pattern: str) -> re.Pattern[str]:
    """A pattern as PEFT matches it: the end of a module's name, from a dot on."""
    if not _SIMPLE.fullmatch(pattern) or pattern.count("*") > min(_MOST_STARS, pattern.count(".*")):
        reason = f"the pattern {pattern!r:.100} is a regular expression, which is not evaluated here"
        raise Unsupported(reason, place=key, remedy="write the names of modules")
    try:
        return re.compile(rf"(?:.*\.)?(?:{pattern})", re.ASCII)
    except re.error as error:
        raise MalformedSource(f"{pattern!r:.100} is no pattern: {error}", place=key) from error


def _rank(key: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 31:
        raise MalformedSource(f"{value!r:.40} is no rank", place=key, remedy="fetch the adapter again")
    return value


def _number(key: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e30:
        raise MalformedSource(f"{value!r:.40} is no number", place=key, remedy="fetch the adapter again")
    return float(value)
