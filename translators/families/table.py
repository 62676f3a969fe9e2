"""A family as a table: what its tensors are called in each world, and how one is made of the other.

    Family(architectures=("FooForCausalLM",), arch="foo", vocabulary="qwen", rules=(...), parameters=(...))

The table is read in both directions: Hugging Face -> GGUF when a checkpoint is converted, GGUF -> Hugging
Face when a GGUF is shown as a folder. A name in a rule is that of a module, without `.weight` or `.bias`, or
of a whole tensor that has no such ending; the first `{}` stands for the layer, a second for the expert.
Knows nothing of files or tokenizers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from translators.families.multimodal import is_multimodal
from translators.families.transforms import SAME, Transform
from translators.families.types import type_in_model

if TYPE_CHECKING:
    from translators.dtypes import DType
    from translators.families.checkpoint import Checkpoint
    from translators.families.configuration import ConfigClass
    from translators.families.described import Told
    from translators.families.parameters import Step
    from translators.gguf_file import GgufTensor
    from translators.model import Model

_SUFFIXES = (".weight", ".bias")
# As numbers are written ("01" is none), of layers and experts that there can be.
_NUMBER = re.compile(r"(?<![^.])(?:0|[1-9][0-9]{0,8})(?![^.])")
# More kinds of names than any family has, and longer ones.
_MOST_KNOWN, _LONGEST_KNOWN = 4096, 256
_ENDINGS = (*_SUFFIXES, ".scale")
_LANGUAGE_MODEL = "language_model."  # what multimodal checkpoints put before or within a name
_CORRECTION = "e_score_correction"  # DeepSeek's bias of the router, which is written with a dot in GGUF
# Buffers of old checkpoints that are no weights.
_BUFFERS = (".attention.masked_bias", ".attention.bias", ".rotary_emb.inv_freq")


@dataclass(frozen=True, slots=True)
class Rule:
    """One kind of tensor.

    gguf:      its name there, or several where it is divided; with its ending if the other has none.
    transform: how its values or rows differ.
    optional:  a model may lack it: in some layers, or in all.
    whole:     neither name has an ending, as `A_log` and `ssm_a`.
    """

    huggingface: str
    gguf: str | tuple[str, ...]
    transform: Transform = SAME
    optional: bool = False
    whole: bool = False

    @property
    def ended(self) -> bool:
        """Whether the GGUF's names are complete as they stand."""
        return self.whole or self.names[0].endswith(_ENDINGS)

    @property
    def names(self) -> tuple[str, ...]:
        """Its names in a GGUF."""
        return (self.gguf,) if isinstance(self.gguf, str) else self.gguf


@dataclass(frozen=True, slots=True)
class Stack:
    """Matrices of which there is one for each expert, and in a GGUF one stacked tensor for all of a layer.

    parts: a rule for each kind, with `{}` for the layer and for the expert, in the order in which upstream
           writes them once it has seen the last matrix of a layer.
    count: the keys of a configuration that tell the number of experts, of which the first that is there
           counts; or the number.
    apart: each kind is written as soon as its own last matrix was seen.
    """

    parts: tuple[Rule, ...]
    count: tuple[str, ...] | int = ("num_local_experts", "num_experts")
    apart: bool = False


class Match(NamedTuple):
    """What a name was found to be.

    names: in the other world. numbers: of the layer and the expert, as far as the name has them.
    """

    rule: Rule
    names: tuple[str, ...]
    numbers: tuple[int, ...]
    stack: Stack | None = None

    @property
    def layer(self) -> int:
        """The layer; 0 of what is in none."""
        return self.numbers[0] if "{}" in self.rule.names[0] else 0


@dataclass(frozen=True)
class Family:
    """An architecture family.

    architectures: Hugging Face class names; the first is the one that a config.json made of a GGUF has.
    arch:          `general.architecture` of its GGUF.
    vocabulary:    which of upstream's ways to write a tokenizer it follows.
    rules:         every tensor that it may hold.
    parameters:    its hyper-parameters, step by step in upstream's order.
    early:         those that upstream writes before all else.
    prefix:        what names may lack at their beginning.
    bare:          those of `architectures` whose tensors must lack the prefix.
    dropped:       patterns of names that are left out.
    replaced:      parts of names that are written otherwise before the rules are asked: (old, new).
    renamed:       the name that the rules are asked for, where the configuration decides it: (name, config).
    returned:      on the way back, the name that a checkpoint has for the rules': (name, config).
    left_out:      whether a tensor is left out that depends on the configuration: (name, config).
    multimodal:    whether a name belongs to another part than the language model.
    generated:     tensors that no checkpoint has; upstream writes them first.
    finished:      a last change to all tensors, for what no rule can say.
    types:         ends of GGUF names whose type is not the usual one: "F32", "F16", or "" for the own type.
    prepared:      the configuration as the family's class wants it.
    blocks:        how many layers are written; as many as the configuration says if None.
    configurations: transformers' classes that complete its config.json.
    described:     config.json of a GGUF; without it there is no way back.
    claims:        whether a GGUF of this arch is this family's, where several families have one arch.
    chosen:        the family that a config.json of these architectures really is of, if they do not tell.
    """

    architectures: tuple[str, ...]
    arch: str
    vocabulary: str
    rules: tuple[Rule | Stack, ...]
    parameters: tuple[Step, ...]
    early: tuple[Step, ...] = ()
    prefix: str = "model."
    bare: frozenset[str] = field(default_factory=frozenset)
    dropped: tuple[str, ...] = ()
    replaced: tuple[tuple[str, str], ...] = ()
    renamed: Callable[[str, Mapping[str, Any]], str] | None = None
    returned: Callable[[str, Mapping[str, Any]], str] | None = None
    left_out: Callable[[str, Mapping[str, Any]], bool] | None = None
    multimodal: Callable[[str], bool] = is_multimodal
    generated: Callable[[Checkpoint], Iterator[GgufTensor]] | None = None
    finished: Callable[[Checkpoint, Iterator[GgufTensor]], Iterable[GgufTensor]] | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    prepared: Callable[[Checkpoint], dict[str, Any]] | None = None
    blocks: Callable[[Mapping[str, Any]], int] | None = None
    configurations: tuple[ConfigClass, ...] = ()
    described: Callable[[Told], dict[str, Any]] | None = None
    claims: Callable[[Model], bool] | None = None
    chosen: Callable[[Mapping[str, Any]], Family] | None = None

    def stored_type(self, name: str, shape: tuple[int, ...], own: DType) -> DType:
        """The type of a tensor of its GGUF in the precision `own`."""
        return type_in_model(name, shape, own, self.types)

    def kept(self, name: str, config: Mapping[str, Any]) -> str | None:
        """A checkpoint's name for a tensor as the rules have it; None for one that is left out."""
        if name.endswith(_BUFFERS) or self.multimodal(name):
            return None
        if name.endswith(f"{_CORRECTION}_bias"):
            name = name.removesuffix("_bias") + ".bias"
        name = name.replace(_LANGUAGE_MODEL, "")
        for old, new in self.replaced:
            name = name.replace(old, new)
        if self.renamed is not None:
            name = self.renamed(name, config)
        if any(fnmatchcase(name, pattern) for pattern in self.dropped):
            return None
        return None if self.left_out is not None and self.left_out(name, config) else name

    def to_gguf(self, name: str) -> Match | None:
        """What a Hugging Face name is in a GGUF; None for a name that is in no rule.

        A name may lack the prefix, as in checkpoints of embedding models that were saved without their head.
        """
        return self._by_huggingface.match(name) or self._by_huggingface.match(self.prefix + name)

    def to_huggingface(self, name: str) -> Match | None:
        """What a GGUF's name is in a checkpoint; None for a name that is in no rule.

        `names` of the answer has one name, with `{}` for the expert if it is a stack.
        """
        return self._by_gguf.match(name, back=True)

    @cached_property
    def single(self) -> tuple[tuple[Rule, Stack | None], ...]:
        """Every rule, those of stacks too, with its stack."""
        return tuple(
            (part, each if isinstance(each, Stack) else None)
            for each in self.rules
            for part in (each.parts if isinstance(each, Stack) else (each,))
        )

    @cached_property
    def _by_huggingface(self) -> _Patterns:
        return _Patterns({rule.huggingface: (rule, stack) for rule, stack in self.single})

    @cached_property
    def _by_gguf(self) -> _Patterns:
        # Where two ways to store a tensor have one name in GGUF, the first is the way back.
        found: dict[str, tuple[Rule, Stack | None]] = {}
        for rule, stack in self.single:
            for name in rule.names:
                if name.removesuffix(".weight").removesuffix(".bias") not in found:
                    found.setdefault(name, (rule, stack))
        return _Patterns(found)


class _Found(NamedTuple):
    """The rule of a name, its numbers, and the ending that the rule lacks."""

    rule: Rule
    stack: Stack | None
    numbers: tuple[int, ...]
    suffix: str


class _Patterns:
    """Rules by the pattern of a name, in which a `{}` stands for each number."""

    def __init__(self, rules: Mapping[str, tuple[Rule, Stack | None]]) -> None:
        self._rules = rules
        # A rule may be for one number alone: then other numbers of the name decide as well.
        self._alike = not any(_NUMBER.search(pattern) for pattern in rules)
        self._known: dict[str, _Found | None] = {}

    def match(self, name: str, back: bool = False) -> Match | None:
        """What a name was found to be; None for a name that is in no rule."""
        found = self._found(name)
        if found is None:
            return None
        names = _names(found.rule, found.stack, found.numbers, found.suffix, back)
        return Match(found.rule, names, found.numbers, found.stack)

    def _found(self, name: str) -> _Found | None:
        if "{}" in name:
            return None
        if not self._alike or len(name) > _LONGEST_KNOWN:
            return self._sought(name)
        # Of a hundred thousand names all but some dozens differ in their numbers alone.
        numbers = tuple(map(int, _NUMBER.findall(name)))
        alike = _NUMBER.sub("{}", name)
        if alike not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[alike] = self._sought(name)
        found = self._known[alike]
        return None if found is None else found._replace(numbers=numbers)

    def _sought(self, name: str) -> _Found | None:
        for suffix in ("", *_SUFFIXES):
            if not name.endswith(suffix):
                continue
            for pattern, numbers in _patterns(name.removesuffix(suffix)):
                rule, stack = self._rules.get(pattern, (None, None))
                if rule is not None and (suffix or rule.ended):
                    return _Found(rule, stack, numbers, suffix)
        return None


def _patterns(stem: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """A name with its numbers taken out: all of them, two, one, none."""
    parts = stem.split(".")
    places = [i for i, part in enumerate(parts) if _NUMBER.fullmatch(part)]
    for count in sorted({len(places), *range(min(3, len(places)))}, reverse=True):
        taken = set(places[:count])
        pattern = ".".join("{}" if i in taken else part for i, part in enumerate(parts))
        yield pattern, tuple(int(parts[i]) for i in places[:count])


def _names(
    rule: Rule, stack: Stack | None, numbers: tuple[int, ...], suffix: str, back: bool
) -> tuple[str, ...]:
    layer = numbers[0] if numbers else ""
    if back:
        known = "{}" in rule.names[0]
        name = rule.huggingface.replace("{}", str(layer), 1) if known else rule.huggingface
        return (name + ("" if rule.ended else suffix),)
    return tuple(name.format(layer) + ("" if rule.ended else suffix) for name in rule.names)
