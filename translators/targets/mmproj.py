"""`mmproj-<type>.gguf`: what a model sees or hears by, as llama.cpp loads it beside the model's GGUF.

Byte for byte what upstream's converter makes of a checkpoint with `--mmproj --outtype <type>`: it writes
these types itself, and llama-quantize has no part in them. A model of text alone has none; a part that is
not known is one refusal with its reason.
Knows nothing of architectures: `families.mmproj` makes the files.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from translators.errors import TranslationError
from translators.families.mmproj.to_gguf import Side, side_of
from translators.model import Model
from translators.plan import Plan, Refusal
from translators.quants.filetypes import FILE_TYPES, FileType
from translators.targets.gguf import UPSTREAM

PREFIX, ENDING = "mmproj-", ".gguf"
# What upstream's converter is asked for, but for types of three values that no such file is known in.
TYPES = ("f32", "f16", "bf16", "q8_0")


def plans(model: Model) -> Iterator[Plan | Refusal]:
    """A plan for every type; nothing for a model of text alone; one refusal where nothing can be made."""
    try:
        side = side_of(model)
        made = [] if side is None else [_plan(model, side, FILE_TYPES[name]) for name in TYPES]
    except TranslationError as error:
        yield Refusal(f"{PREFIX}*{ENDING}", error.stated, error.remedy)
        return
    yield from made


def _plan(model: Model, side: Side, file_type: FileType) -> Plan:
    name, own = file_type.name, file_type.name == side.own.name
    described = f"{file_type.dtype.name}, the source's own precision" if own else file_type.dtype.name
    return Plan(
        f"{PREFIX}{name}{ENDING}",
        f"what the model sees or hears by, {described}",
        partial(side.converted(file_type).layout, model.files),
        own=own,
        equals=f"convert_hf_to_gguf.py --mmproj --outtype {name} ({UPSTREAM}) of the source",
    )
