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
    bert,
    bloom,
    cohere,
    deepseek,
    ernie,
    exaone,
    falcon,
    falcon_h1,
    gemma,
    gemma3,
    gemma3n,
    gemma4,
    glm,
    gpt2,
    gpt_oss,
    granite,
    granite_hybrid,
    hunyuan,
    internlm,
    jamba,
    lfm2,
    llama,
    llama4,
    mamba,
    minimax,
    mistral4,
    modern_bert,
    nemotron,
    neox,
    olmo,
    phi,
    phi2,
    qwen,
    qwen3_vl,
    qwen_linear,
    qwen_vl,
    seed_oss,
    smollm3,
    stablelm,
    step35,
    t5,
)
from translators.families.table import Family
from translators.model import Model

# One line a module; a family that is not here is not offered.
FAMILIES: tuple[Family, ...] = (
    *(llama.LLAMA, mistral4.MISTRAL3, mistral4.MISTRAL4),
    *(qwen.QWEN2, qwen.QWEN2_MOE, qwen.QWEN3, qwen.QWEN3_MOE),
    *(qwen_vl.QWEN2_VL, qwen3_vl.QWEN3_VL, qwen3_vl.QWEN3_VL_MOE),
    *(qwen_linear.QWEN3_NEXT, qwen_linear.QWEN35, qwen_linear.QWEN35_MOE),
    *(gemma.GEMMA, gemma.GEMMA2, gemma3.GEMMA3, gemma3.EMBEDDING_GEMMA),
    *(gemma3n.GEMMA3N, gemma4.GEMMA4),
    *(gpt2.GPT2, gpt2.STARCODER),
    *(phi2.PHI2, phi.PHI3, phi.PHIMOE),
    *(deepseek.DEEPSEEK, deepseek.DEEPSEEK2, deepseek.DEEPSEEK32, deepseek.GLM_LITE, deepseek.GLM_DSA),
    gpt_oss.GPT_OSS,
    *(glm.CHATGLM, glm.GLM4, glm.GLM_OCR, glm.GLM4_MOE, glm.SOLAR_OPEN),
    *(neox.GPT_NEOX, bloom.BLOOM, bloom.MPT, neox.STARCODER2),
    *(olmo.OLMO, olmo.OLMO2, olmo.OLMOE),
    *(internlm.INTERNLM2, internlm.INTERNLM3, internlm.BAICHUAN, internlm.XVERSE, stablelm.STABLELM),
    *(bert.BERT, bert.DISTILBERT, bert.ROBERTA, bert.XLM_ROBERTA),
    *(modern_bert.NOMIC_BERT, modern_bert.MODERN_BERT),
    *(t5.T5, t5.T5_ENCODER),
    *(granite.GRANITE, granite.GRANITE_MOE),
    *(smollm3.SMOLLM3, smollm3.ARCEE),
    seed_oss.SEED_OSS,
    *(ernie.ERNIE, ernie.ERNIE_MOE),
    *(exaone.EXAONE, exaone.EXAONE4),
    *(hunyuan.HUNYUAN_DENSE, hunyuan.HUNYUAN_MOE),
    minimax.MINIMAX_M2,
    *(lfm2.LFM2, lfm2.LFM2_MOE),
    step35.STEP35,
    *(cohere.COMMAND_R, cohere.COHERE2),
    llama4.LLAMA4,
    *(mamba.MAMBA, mamba.MAMBA2),
    *(granite_hybrid.GRANITE_HYBRID, falcon_h1.FALCON_H1, jamba.JAMBA),
    *(nemotron.NEMOTRON, nemotron.NEMOTRON_H, nemotron.NEMOTRON_H_MOE),
    falcon.FALCON,
)

_BY_ARCHITECTURE = {name: family for family in FAMILIES for name in family.architectures}
_BY_ARCH: dict[str, list[Family]] = {}
for _family in FAMILIES:
    _BY_ARCH.setdefault(_family.arch, []).append(_family)


# What configurations of makers' own code call the language model's part; the last that is there counts.
TEXT_PARTS = ("llm_config", "lm_config", "language_config")
# Whose language model is converted in a way of its own, whatever its part says.
_WHOLE = frozenset(
    (
        "StepVLForConditionalGeneration", "Sarashina2VisionForCausalLM", "Step3p7ForConditionalGeneration",
        "Exaone4_5_ForConditionalGeneration", "KimiK3ForConditionalGeneration",
        "InternS1ForConditionalGeneration", "GlmasrModel", "DeepseekOCRForCausalLM",
        "DeepseekOCR2ForCausalLM", "UnlimitedOCRForCausalLM",
    )
)  # fmt: skip


def architecture_of(config: Mapping[str, Any]) -> str:
    """The Hugging Face class that a config.json names for its language model.

    That is the part's own where it names one. Raises MalformedSource where there is none.
    """
    outer = _class_named(config)
    for name in (*reversed(TEXT_PARTS), "text_config"):
        part = config.get(name)
        if isinstance(part, dict) and part.get("architectures") is not None and outer not in _WHOLE:
            return _class_named(part)
    return outer


def _class_named(config: Mapping[str, Any]) -> str:
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
    family = _BY_ARCHITECTURE[name]
    return family if family.chosen is None else family.chosen(config)


def family_of_gguf(model: Model) -> Family:
    """The family that a GGUF goes back to: of those of its architecture the first that claims it.

    Raises Unsupported for an architecture without a way back.
    """
    arch = "" if model.key_values is None else model.key_values.get("general.architecture", "")
    for family in _BY_ARCH.get(str(arch), ()):
        if family.described is not None and (family.claims is None or family.claims(model)):
            return family
    raise Unsupported(f"GGUF architecture {arch!r} has no Hugging Face translation yet")
