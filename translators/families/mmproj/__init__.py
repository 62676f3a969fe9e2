"""Side files: the parts of models that see or hear, in GGUFs of their own that llama.cpp loads beside.

One module a family, a table first, as for language models; `to_gguf` reads the tables. Whoever adds an
architecture adds a module here and its name below.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from translators.errors import Unsupported
from translators.families.mmproj import internvl, llama4, pixtral, qwen3_vl, qwen_vl, siglip
from translators.families.mmproj.table import Mmproj

# One line a module; a part that is not here is not offered.
MMPROJS: tuple[Mmproj, ...] = (
    *(qwen_vl.QWEN2_VL, qwen_vl.QWEN25_VL, qwen3_vl.QWEN3_VL),
    *(siglip.GEMMA3, siglip.IDEFICS3),
    pixtral.PIXTRAL,
    internvl.INTERNVL,
    llama4.LLAMA4,
)

_BY_ARCHITECTURE = {name: family for family in MMPROJS for name in family.architectures}
_PARTS = ("vision_config", "audio_config", "whisper_config")


def family_in(config: Mapping[str, Any]) -> Mmproj | None:
    """The family of a config.json's part that sees or hears; None where it has none.

    Raises Unsupported for a part of another architecture.
    """
    vision = config.get("vision_config")
    name = _named(vision if isinstance(vision, dict) and vision.get("architectures") is not None else config)
    if name in _BY_ARCHITECTURE:
        return _BY_ARCHITECTURE[name]
    part = next((key for key in _PARTS if isinstance(config.get(key), dict)), None)
    if part is None:
        return None
    raise Unsupported(
        f"the part of {name or 'this model'} that sees or hears has no translation yet", path="config.json",
        place=part, remedy="model.safetensors holds it, for whatever reads that",
    )  # fmt: skip


def _named(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    return names[0] if isinstance(names, list) and names and isinstance(names[0], str) else ""
