"""The tensors of a PEFT adapter, put in order: which module each belongs to, and as what.

    modules, replaced = sorted_out(tensors)

A name is `base_model.model.<module>.<part>`, as PEFT saves them and older versions did. A name that is not
known is an error: nothing of an adapter is left out in silence.
Knows nothing of the base model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from translators.errors import Unsupported
from translators.model import SourceTensor
from translators.sources.stored_file import clipped

_PREFIX = "base_model.model."
# What a part of a LoRA is called; `default` is an adapter's name, which PEFT leaves out when it saves.
_PARTS = {
    "lora_A.weight": "a",
    "lora_B.weight": "b",
    "lora_B.bias": "bias",
    "lora_embedding_A": "embedding_a",
    "lora_embedding_B": "embedding_b",
    "lora_magnitude_vector": "magnitude",
    "lora_magnitude_vector.weight": "magnitude",
}
_PART = re.compile(r"(?P<module>.+)\.(?P<part>lora_[A-Za-z_]+(?:\.(?:weight|bias))?)", re.DOTALL)
_LONGEST = 300


@dataclass
class Module:
    """What an adapter holds for one module, by the names of `_PARTS`."""

    name: str
    parts: dict[str, SourceTensor] = field(default_factory=dict)


def sorted_out(tensors: Mapping[str, SourceTensor]) -> tuple[list[Module], dict[str, SourceTensor]]:
    """The modules with LoRA factors, in the file's order; by name, what replaces the base's tensors.

    Raises Unsupported for what is neither.
    """
    modules: dict[str, Module] = {}
    replaced: dict[str, SourceTensor] = {}
    for given, tensor in tensors.items():
        name = given.removeprefix(_PREFIX).replace(".default.", ".").removesuffix(".default")
        if not given.startswith(_PREFIX) or len(name) > _LONGEST:
            raise _unknown(given)
        match = _PART.fullmatch(name)
        if match is not None and match["part"] in _PARTS:
            module, part = match["module"], _PARTS[match["part"]]
            if part in modules.setdefault(module, Module(module)).parts:
                raise _unknown(given)
            modules[module].parts[part] = tensor
            continue
        # Saved whole: modules_to_save, biases, an embedding of another size, or the base of an adapted one.
        name = name.replace(".modules_to_save.", ".").replace(".base_layer.", ".")
        if ".lora_" in name or name in replaced:
            raise _unknown(given)
        replaced[name] = tensor
    return list(modules.values()), replaced


def _unknown(name: str) -> Unsupported:
    return Unsupported(
        "nothing here knows what this tensor of an adapter does", place=clipped(f"tensor {name!r}"),
        remedy="merge it with PEFT",
    )  # fmt: skip
