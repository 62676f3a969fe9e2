"""What a model's name tells: `Llama-3.2-1B-Instruct` is a basename, a version, a size and a finetune.

A name is split at its hyphens and each part is classified; the rules are gguf-py's metadata.py
(get_model_id_components, id_to_title) and utility.py (size_label), where the number of parameters decides
whether `8k` or `7B` is a size. Pure functions of text and numbers; they know nothing of files.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from translators.metadata.parameters import ParameterCount

_VERSION = re.compile(r"(v|iter)?\d+([.]\d+)*", re.IGNORECASE)
_TYPE = re.compile(r"i?q\d(_\w)*|b?fp?(16|32)", re.IGNORECASE)
_SIZE = re.compile(
    r"(([A]|\d+[x])?\d+([._]\d+)?[KMBT][\d]?|small|mini|medium|large|x?xl)", re.IGNORECASE
)  # fmt: skip
_FINETUNE = re.compile(r"chat|instruct|vision|lora", re.IGNORECASE)
_LEFT_AS_IT_IS = re.compile(r"^(v\d+(?:\.\d+)*|\d.*)$")
_SUFFIXES = " KMBT"


@dataclass(frozen=True, slots=True)
class ModelName:
    """The components of a name; None where it has none. `full` is the name without its organization."""

    full: str
    organization: str | None = None
    basename: str | None = None
    finetune: str | None = None
    version: str | None = None
    size_label: str | None = None

    @property
    def title(self) -> str:
        """The name for people: words apart, capitals where there were none."""
        return titled(self.full)

    @property
    def owner(self) -> str | None:
        """The organization for people."""
        return None if self.organization is None else titled(self.organization)


def titled(text: str) -> str:
    """`tiny-llama-v2` as `Tiny Llama v2`: words in capitals, digits first and versions stay."""
    words = text.strip().replace("-", " ").split()
    return " ".join(
        word if _LEFT_AS_IT_IS.match(word) or not word.islower() else word.title() for word in words
    )


def name_of(identifier: str, parameters: int) -> ModelName:
    """The components of a directory's name or of `organization/name`, for a model of so many parameters.

    A negative number is an adapter's, of the weights that it adapts: at least so many the model has.
    """
    if " " in identifier:
        return ModelName(identifier)
    organization, slash, full = identifier.partition("/")
    if not slash:
        organization, full = "", identifier
    parts = [_classified(part, at, parameters) for at, part in enumerate(filter(None, full.split("-")))]
    _drop_words_beside_numbers(parts)
    _find_basename(parts)

    def joined(kind: str, without: str = "") -> str | None:
        texts = [part.text for part in parts if kind in part.kinds and without not in part.kinds]
        return "-".join(dict.fromkeys(texts) if kind == "size_label" else texts) or None

    size, finetune, version = joined("size_label"), joined("finetune"), joined("version", without="basename")
    basename = joined("basename") if (size, finetune, version) != (None, None, None) else None
    owner = organization if slash and not organization.startswith(".") else None
    return ModelName(full, owner, basename, finetune, version, size)


@dataclass(slots=True)
class _Part:
    """A part between hyphens, as it will be written, and what it may be."""

    text: str
    kinds: set[str] = field(default_factory=set)


def _classified(text: str, at: int, parameters: int) -> _Part:
    if _VERSION.fullmatch(text):
        return _Part(text, {"version"})
    if _TYPE.fullmatch(text):
        return _Part(text.upper(), {"type"})
    if at > 0 and _SIZE.fullmatch(text):
        return _sized(text, parameters)
    if at > 0 and parameters < 0 and text.lower() == "lora":
        return _Part(text, {"type"})
    if at > 0 and _FINETUNE.fullmatch(text):
        return _Part(text, {"finetune"})
    return _Part(text)


def _sized(text: str, parameters: int) -> _Part:
    """A part that reads like a size: `1_5b` as `1.5B`, `7b1` as `7.1B`; of another magnitude, a finetune."""
    text = text.replace("_", ".")
    if text[-1].isdecimal():
        text = f"{text[:-2]}.{text[-1]}{text[-2]}"
    if text[-2:-1].isdecimal() and text[-1] in "kmbt":
        text = text[:-1] + text[-1].upper()
    try:
        size = float(text[:-1]) * 1000.0 ** _SUFFIXES.find(text[-1])
    except ValueError:  # a word, or a mixture of experts as 8x7B
        return _Part(text, {"size_label"})
    # A model of about the size that its name claims; anything else is likely a context length.
    is_other = size < -parameters // 8 if parameters < 0 else abs(size - parameters) > 7 * parameters // 8
    if parameters and is_other:
        return _Part(text[:-1] + text[-1].lower(), {"finetune"})
    return _Part(text, {"size_label"})


def _drop_words_beside_numbers(parts: Sequence[_Part]) -> None:
    """`small` is no size label where `7B` is one."""
    sizes = [part for part in parts if "size_label" in part.kinds]
    if any(letter.isdecimal() for part in sizes for letter in part.text):
        for part in sizes:
            if part.text.isalpha():
                part.kinds.remove("size_label")


def _find_basename(parts: Sequence[_Part]) -> None:
    """The parts at the start that are nothing else, and versions among them; what is left is a finetune."""
    at_start = True
    for part in parts:
        if at_start and ("version" in part.kinds or (not part.kinds and part.text[0].isalpha())):
            part.kinds.add("basename")
        else:
            at_start = False
            if not part.kinds:
                part.kinds.add("finetune")
    for part in reversed(parts):
        if "basename" not in part.kinds or len(part.kinds) == 1:
            break
        part.kinds.remove("basename")


def size_label(count: ParameterCount) -> str:
    """`1.5B`, or `8x7B` where the experts of a layer are tensors of three dimensions."""
    if count.expert_count > 0:
        return f"{count.expert_count}x{_rounded(count.shared + count.expert)}"
    return _rounded(count.total)


def _rounded(number: int) -> str:
    """Two digits at least, as gguf-py's model_weight_count_rounded_notation."""
    scales = ((1e12, 1e-12, "T"), (1e9, 1e-9, "B"), (1e6, 1e-6, "M"))
    scale, suffix = next(((scale, suffix) for above, scale, suffix in scales if number > above), (1e-3, "K"))
    scaled = number * scale
    digits = len(str(round(scaled)).lstrip("0"))
    return f"{scaled:.{max(2 - digits, 0)}f}{suffix}"
