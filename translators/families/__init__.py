"""Families: what each architecture's tensors are called, and how they differ between the two worlds.

One module a family, a table first; `to_gguf` and `to_huggingface` read the tables. Whoever adds an
architecture adds a module here and its name below.
Knows nothing of file layouts or of quantisation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.errors import MalformedSource, Unsupported
from translators.families import (
    deepseek,
    gemma,
    gemma3,
    gemma3n,
    gemma4,
    glm,
    gpt2,
    gpt_oss,
    llama,
    phi,
    qwen,
    qwen_linear,
)
from translators.families.table import Family

# One line a module; a family that is not here is not offered.
FAMILIES: tuple[Family, ...] = (
    *(llama.LLAMA, llama.MISTRAL3),
    *(qwen.QWEN2, qwen.QWEN2_MOE, qwen.QWEN3, qwen.QWEN3_MOE),
    *(qwen_linear.QWEN3_NEXT, qwen_linear.QWEN35, qwen_linear.QWEN35_MOE),
    *(gemma.GEMMA, gemma.GEMMA2, gemma3.GEMMA3, gemma3.EMBEDDING_GEMMA),
    *(gemma3n.GEMMA3N, gemma4.GEMMA4),
    gpt2.GPT2,
    *(phi.PHI2, phi.PHI3, phi.PHIMOE),
    *(deepseek.DEEPSEEK, deepseek.DEEPSEEK2, deepseek.DEEPSEEK32, deepseek.GLM_LITE, deepseek.GLM_DSA),
    gpt_oss.GPT_OSS,
    *(glm.CHATGLM, glm.GLM4, glm.GLM_OCR, glm.GLM4_MOE, glm.SOLAR_OPEN),
)

_BY_ARCHITECTURE = {name: family for family in FAMILIES for name in family.architectures}
# Of several families of one arch the first is the way back.
_BY_ARCH = {family.arch: family for family in reversed(FAMILIES)}


def architecture_of(config: Mapping[str, Any]) -> str:
    """The Hugging Face class that a config.json names. Raises MalformedSource where it names none."""
    names = config.get("architectures")
    if not isinstance(names, list) or not names or not isinstance(names[0], str):
        raise MalformedSource(
            "it names no architecture", path="config.json", place="architectures",
            remedy="take config.json from the model's original repository",
        )  # fmt: skip
    return names[0]


def family_of(config: Mapping[str, Any]) -> Family:
    """The family of a config.json. Raises MalformedSource, Unsupported (naming the architecture)."""
    name = architecture_of(config)
    if name not in _BY_ARCHITECTURE:
        raise Unsupported(
            f"architecture {name} has no GGUF translation yet", path="config.json", place="architectures",
            remedy="model.safetensors is available for every architecture",
        )  # fmt: skip
    return _BY_ARCHITECTURE[name]


def family_of_arch(arch: str) -> Family:
    """The family of a GGUF's `general.architecture`. Raises Unsupported."""
    if arch not in _BY_ARCH:
        raise Unsupported(f"GGUF architecture {arch!r} has no Hugging Face translation yet")
    return _BY_ARCH[arch]
