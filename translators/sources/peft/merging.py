"""A base model's tensors with an adapter merged into them, as PEFT's merge_and_unload does.

    merged = Merging(base, settings, modules, replaced).merged()

An update is added to the weight in float32 and rounded once to its type; to an embedding it is added after
it was rounded itself; a DoRA's rows are then scaled. Biases are added likewise. Saved modules replace the
base's, in the base's type. A name that the base model has not, or a shape that does not fit, is an error.
Where input and output embedding are one tensor and the adapter holds one of its own for either, the merged
model has two, and its configuration says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from translators.dtypes import F32
from translators.errors import MalformedSource, TranslationError, Unsupported
from translators.model import Adapter, Model, SourceTensor, Update
from translators.recipes import (
    Derived,
    Recipe,
    cast,
    combine,
    concat,
    low_rank,
    map_,
    slice_,
    stored,
    transpose2d,
)
from translators.sources.peft.configuration import Settings
from translators.sources.peft.experts import (
    merged_experts,
    merged_parameter,
    one_by_one,
    orientations,
    told_apart,
)
from translators.sources.peft.modules import Module
from translators.sources.stored_file import clipped

_WEIGHT, _BIAS = ".weight", ".bias"
_HEAD = "lm_head.weight"
# Models whose linear layers are stored [inputs, outputs].
_TRANSPOSED = frozenset({"gpt2", "openai-gpt", "decision_transformer"})
# Models that see: what classes of today call their parts, and checkpoints as they were written.
_SWAPPED = ("model.language_model.", "language_model.model.")
_OTHER_BASE = "check that this is the model that the adapter was trained on"


@dataclass
class Merging:
    """One merge: what goes in, and what came of it so far."""

    base: Model
    settings: Settings
    modules: Sequence[Module]
    replaced: Mapping[str, SourceTensor]
    config: dict[str, Any] = field(default_factory=dict)
    beyond: list[str] = field(default_factory=list)
    _made: dict[str, Recipe] = field(default_factory=dict)
    _updates: list[Update] = field(default_factory=list)

    def merged(self) -> dict[str, SourceTensor]:
        """All tensors of the merged model, by name and sorted, as they lie in one file.

        Raises MalformedSource, Unsupported.
        """
        self.config = deepcopy(self.base.config)
        for given, tensor in self.replaced.items():
            self._at(given, self._replace, given, tensor)
        self._untie_what_was_left()
        parameters, layers = told_apart(self.modules, self.settings.parameters)
        for module in layers:
            self._at(module.name, self._merge, module)
        self._at(", ".join(self.settings.parameters), self._merge_parameters, parameters)
        made: dict[str, SourceTensor] = {name: Derived(name, recipe) for name, recipe in self._made.items()}
        return dict(sorted({**self.base.tensors, **made}.items()))

    @property
    def adapter(self) -> Adapter:
        """The factors, once they were merged."""
        return Adapter(self.settings.root, self.settings.alpha, tuple(self._updates), "; ".join(self.beyond))

    def _at(self, place: str, step: Any, *arguments: object) -> None:
        try:
            step(*arguments)
        except TranslationError as error:
            error.place = error.place or clipped(f"module {place}")
            error.path = error.path or self.settings.path
            raise

    def _replace(self, given: str, tensor: SourceTensor) -> None:
        name = self._name(given) or self._untied(given)
        of = self._recipe(name)
        if tensor.shape != of.shape:
            if tensor.shape[1:] != of.shape[1:] or len(of.shape) != 2 or not self._is_vocabulary(name):
                raise MalformedSource(
                    f"shape {tensor.shape} replaces a tensor of {of.shape}", place=clipped(f"tensor {given}"),
                    remedy=_OTHER_BASE,
                )  # fmt: skip
            self._resize(tensor.shape[0])
        self._made[name] = cast(stored(tensor), of.dtype)
        self.beyond.append(f"{given} is saved whole")

    def _is_vocabulary(self, name: str) -> bool:
        return name in (_HEAD, self._embedding)

    def _resize(self, rows: int) -> None:
        if self.config.get("vocab_size") not in (self.base.config.get("vocab_size"), rows):
            raise MalformedSource(f"embeddings of {self.config['vocab_size']} and of {rows} rows")
        for place in (self.config, self.config.get("text_config")):
            if isinstance(place, dict) and "vocab_size" in place:
                place["vocab_size"] = rows

    @cached_property
    def _embedding(self) -> str:
        """The input embedding's name."""
        ends = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight")
        return next((name for name in self.base.tensors if name.endswith(ends)), "")

    def _untied(self, given: str) -> str:
        """The name of an output embedding that the base model has no tensor for."""
        if given != _HEAD or not self._is_tied:
            raise MalformedSource(
                "the base model has no such tensor", place=clipped(f"tensor {given}"), remedy=_OTHER_BASE
            )
        self._made[_HEAD] = stored(self.base.tensors[self._embedding])
        self.config["tie_word_embeddings"] = False
        return _HEAD

    @property
    def _is_tied(self) -> bool:
        """Whether the base model's output embedding is its input embedding."""
        tied = self.base.config.get("tie_word_embeddings", True)
        return bool(tied and self._embedding and self._name(_HEAD) is None)

    def _untie_what_was_left(self) -> None:
        """Where the adapter has an input embedding of its own alone, the output keeps the base's."""
        made = self._made.get(self._embedding)
        if made is not None and made.shape == self.base.tensors[self._embedding].shape and self._is_tied:
            self._untied(_HEAD)

    def _merge(self, module: Module) -> None:
        embedding = "embedding_a" in module.parts
        wanted = ("embedding_a", "embedding_b") if embedding else ("a", "b")
        if any(part not in module.parts for part in wanted) or (embedding and "a" in module.parts):
            raise MalformedSource("one of the two factors is missing", remedy="fetch the adapter again")
        name = self._name(module.name + _WEIGHT)
        if name is None:
            why = (
                "it is tied to the input embedding"
                if module.name + _WEIGHT == _HEAD
                else "the base model has none"
            )
            raise Unsupported(f"no weight to merge into: {why}", remedy=_OTHER_BASE)
        a, b = (cast(stored(module.parts[part]), F32) for part in wanted)
        if len(a.shape) != 2 or a.shape[0] != self.settings.rank_of(module.name):
            rank = self.settings.rank_of(module.name)
            raise MalformedSource(
                f"factors of shape {a.shape} where the rank is {rank:,}", remedy="fetch the adapter again"
            )
        self._update(name, a, b, module, embedding=embedding)
        if "bias" in module.parts:
            self._add_bias(module)

    def _merge_parameters(self, adapters: Mapping[str, Module]) -> None:
        """What belongs to no layer of its own, by the names that the adapter has for it."""
        whole = {given: name for given in adapters if (name := self._name(given)) is not None}
        apart = {
            given: one_by_one(given, self._name, self.base.tensors)
            for given in adapters.keys() - whole.keys()
        }
        lost = next((given for given in adapters if not whole.get(given) and not apart[given]), None)
        if lost is not None:
            reason = "the base model's files have no such tensor, nor one for each expert that is known here"
            raise Unsupported(reason, place=clipped(f"tensor {lost}"), remedy="merge it with PEFT")
        for given, module in adapters.items():
            if set(module.parts) != {"a", "b"}:
                raise MalformedSource("one of the two factors is missing", place=clipped(f"tensor {given}"))
        experts = {given: [self._joined(names) for names in each] for given, each in apart.items()}
        shapes = {given: self._recipe(name).shape for given, name in whole.items()}
        shapes |= {given: (len(each), *each[0].shape) for given, each in experts.items()}
        swapped = orientations(shapes, adapters, self.settings.unswapped)
        for given, module in adapters.items():
            how = self.settings.scale_of(given), self.settings.rank_of(given)
            side = swapped.get(given, False)
            if given in whole:
                of = self._recipe(whole[given])
                self._made[whole[given]] = merged_parameter(of, module, *how, swapped=side)
            else:
                merged = merged_experts(experts[given], module, *how, swapped=side)
                for names, recipe in zip(apart[given], merged, strict=True):
                    self._divide(names, recipe)
            self.beyond.append(f"{given} is no layer of its own")

    def _joined(self, names: Sequence[str]) -> Recipe:
        """The rows of one expert's matrices."""
        return concat([self._recipe(name) for name in names], 0)

    def _divide(self, names: Sequence[str], of: Recipe) -> None:
        first = 0
        for name in names:
            rows = self._recipe(name).shape[0]
            self._made[name] = slice_(of, 0, first, first + rows)
            first += rows

    def _update(self, name: str, a: Recipe, b: Recipe, module: Module, *, embedding: bool) -> None:
        of, scale = self._recipe(name), self.settings.scale_of(module.name)
        magnitude = stored(module.parts["magnitude"]) if "magnitude" in module.parts else None
        if (magnitude is not None) != self.settings.dora:
            raise MalformedSource(
                "magnitudes and use_dora contradict each other", remedy="fetch the adapter again"
            )
        if magnitude is not None and embedding:
            # Their norms run over the whole vocabulary: no row could be had without all others.
            raise Unsupported("not merged: magnitudes (DoRA) of an embedding", remedy="merge it with PEFT")
        transposed = embedding or self._is_transposed(of, a, b)
        left, right = (transpose2d(a), transpose2d(b)) if transposed and len(b.shape) == 2 else (b, a)
        if magnitude is None:
            self._made[name] = low_rank(of, left, right, scale, rounded=embedding)
        elif transposed:
            # Its norms run down the columns of what is stored.
            merged = low_rank(transpose2d(of), b, a, scale, magnitude=magnitude)
            self._made[name] = transpose2d(merged)
        else:
            self._made[name] = low_rank(of, left, right, scale, magnitude=magnitude)
        if magnitude is not None:
            self.beyond.append(f"{module.name} has magnitudes (DoRA)")
        factors = Derived(name, cast(left, F32)), Derived(name, cast(right, F32))
        self._updates.append(Update(name, *factors, scale, transposed and not embedding, embedding))

    def _is_transposed(self, of: Recipe, a: Recipe, b: Recipe) -> bool:
        return (
            self.config.get("model_type") in _TRANSPOSED
            and len(b.shape) == 2
            and of.shape == (a.shape[1], b.shape[0])
        )

    def _add_bias(self, module: Module) -> None:
        name = self._name(module.name + _BIAS)
        if name is None:
            raise Unsupported("lora_bias, but the base model's layer has no bias", remedy=_OTHER_BASE)
        of, more = self._recipe(name), stored(module.parts["bias"])
        if of.shape != more.shape:
            raise MalformedSource(f"{more.shape} biases are added to {of.shape}", remedy=_OTHER_BASE)
        scaled = map_(cast(more, F32), "multiply", self.settings.scale_of(module.name))
        self._made[name] = cast(combine("add", cast(of, F32), scaled), of.dtype)
        self.beyond.append(f"{module.name} has a bias (lora_bias)")

    def _recipe(self, name: str) -> Recipe:
        return self._made[name] if name in self._made else stored(self.base.tensors[name])

    def _name(self, given: str) -> str | None:
        """The base model's name for a tensor of the adapter: the same, or one is the end of the other.

        A checkpoint may lack the names of the classes around the model, or the adapter may.
        """
        if given in self._made or given in self.base.tensors:
            return given
        # A prefix that all of a checkpoint's names have or lack: `model.`, `transformer.`, `language_model.`.
        swapped = given.replace(*_SWAPPED)
        if swapped in self.base.tensors:
            return swapped
        found = {name for name in self._by_end.get(_end(given), ()) if _fits(name, given)}
        if len(found) > 1:
            raise MalformedSource(
                f"the base model has {len(found)} tensors that could be meant", remedy=_OTHER_BASE
            )
        return next(iter(found), None)

    @cached_property
    def _by_end(self) -> dict[str, list[str]]:
        ends: dict[str, list[str]] = {}
        for name in self.base.tensors:
            ends.setdefault(_end(name), []).append(name)
        return ends


def _end(name: str) -> str:
    return ".".join(name.split(".")[-2:])


def _fits(name: str, other: str) -> bool:
    """Whether a name is another one without the first of its parts, which is no more than a class's."""
    longer, shorter = sorted((name, other), key=len, reverse=True)
    return longer.endswith("." + shorter) and longer.removesuffix("." + shorter).count(".") <= 1
