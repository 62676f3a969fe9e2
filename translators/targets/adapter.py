"""`adapter.gguf-f16` and `adapter.gguf-f32`: an adapter by itself, as llama.cpp loads it beside its base.

The bytes are those of upstream's convert_lora_to_gguf, but for what it does wrong: llama.cpp multiplies
every update by `adapter.lora.alpha / rank`, so what a rank-stabilised adapter or one with patterns has beyond
that is multiplied into its B here; and GPT-2's factors stay in their places. Factors go the way of the weight
that they belong to: rows of it are rows of B, columns are columns of A. What has no factors (saved modules,
magnitudes, biases) cannot be had this way, and is refused: the merged model has it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from translators.dtypes import DTYPES, F32, DType
from translators.errors import TranslationError, Unsupported
from translators.families import family_of
from translators.families.defaults import completed
from translators.families.transforms import SAME, Permuted, Place, Rotary, Split
from translators.gguf_file import GgufFile, GgufTensor
from translators.keyvalues import KeyValues
from translators.metadata import write_adapter
from translators.model import Adapter, Model, Update
from translators.plan import Plan, Refusal
from translators.recipes import Recipe, cast, map_, stored, transpose2d

PREFIX = "adapter.gguf-"
_TYPES = ("f16", "f32")
_QUANTIZATION_VERSION = 2
_REMEDY = "use the merged model, model.gguf-..."


def plans(model: Model) -> Iterator[Plan | Refusal]:
    """The adapter that the model was merged with; nothing for any other model."""
    if model.adapter is None:
        return
    for kind in _TYPES:
        name = PREFIX + kind
        try:
            file = _file(model, model.adapter, kind)
        except TranslationError as error:
            yield Refusal(name, error.stated, error.remedy)
            continue
        describe = f"the adapter alone, in {kind.upper()}, to be loaded beside its base model"
        yield Plan(name, describe, partial(file.layout, model.files))


def _file(model: Model, adapter: Adapter, kind: str) -> GgufFile:
    if adapter.beyond:
        raise Unsupported(f"not all of it is factors: {adapter.beyond:.200}", remedy=_REMEDY)
    if not adapter.alpha:
        raise Unsupported("its alpha is 0, by which llama.cpp multiplies", remedy=_REMEDY)
    family = family_of(model.config)
    if any(update.embedding for update in adapter.updates) and "output.weight" not in set(_names(model)):
        reason = "llama.cpp aborts at an adapter of an embedding that is its output as well"
        raise Unsupported(reason, remedy=_REMEDY)
    tensors: list[GgufTensor] = []
    for update in adapter.updates:
        tensors += _tensors(model, adapter, update, DTYPES[kind.upper()])
    names = {tensor.name for tensor in tensors}
    if len(names) < len(tensors):
        raise Unsupported("two of its updates are for one tensor", remedy=_REMEDY)
    key_values = KeyValues()
    key_values.string("general.architecture", family.arch)
    pairs = ((b.shape[0], a.shape[-1]) for a, b in zip(tensors[::2], tensors[1::2], strict=True))
    write_adapter(key_values, adapter.root, model.name, pairs)
    key_values.f32("adapter.lora.alpha", adapter.alpha)
    key_values.u32("general.quantization_version", _QUANTIZATION_VERSION)
    return GgufFile(key_values, tuple(tensors))


def _names(model: Model) -> Iterator[str]:
    """What a GGUF calls the model's tensors."""
    config, family = completed(model.config, model.root), family_of(model.config)
    for name in model.tensors:
        kept = family.kept(name, config)
        match = None if kept is None else family.to_gguf(kept)
        yield from () if match is None else match.names


def _tensors(model: Model, adapter: Adapter, update: Update, dtype: DType) -> Iterator[GgufTensor]:
    """An update's two factors, or more where its weight is divided in a GGUF."""
    config = completed(model.config, model.root)
    family = family_of(model.config)
    kept = family.kept(update.name, config)
    match = None if kept is None else family.to_gguf(kept)
    if match is None or match.stack is not None:
        reason = "a GGUF has no tensor of its own for this weight"
        raise Unsupported(reason, place=f"tensor {update.name}", remedy=_REMEDY)
    # What llama.cpp multiplies by is alpha / rank; what is beyond that goes into B.
    rank = update.left.shape[1]
    factor = update.scale * rank / adapter.alpha
    place = Place(config, update.name, match.layer)
    a, parts = stored(update.right), _parts(update, match.rule.transform, place)
    if update.transposed:
        a = transpose2d(stored(update.left))
    for name, b in zip(match.names, parts, strict=True):
        if update.embedding:
            # llama.cpp looks rows up in A: [rows, rank] there, and B is [columns, rank].
            yield _tensor(f"{name}.lora_a", stored(update.left), dtype)
            yield _tensor(f"{name}.lora_b", _scaled(transpose2d(stored(update.right)), factor), dtype)
            continue
        yield _tensor(f"{name}.lora_a", a, dtype)
        yield _tensor(f"{name}.lora_b", _scaled(b, factor), dtype)


def _parts(update: Update, transform: object, place: Place) -> tuple[Recipe, ...]:
    """B as it belongs to each of a GGUF's tensors."""
    if update.transposed:
        if not (isinstance(transform, Permuted) and transform.axes == (1, 0)):
            raise Unsupported("its weight is stored otherwise in a GGUF", place=f"tensor {place.name}")
        return (transpose2d(stored(update.right)),)
    if transform is SAME or transform == SAME or isinstance(transform, Rotary):
        return transform.to_gguf(stored(update.left), place)
    if isinstance(transform, Split) and transform.axis == 0:
        return transform.to_gguf(stored(update.left), place)
    raise Unsupported(
        "its weight is computed otherwise for a GGUF than by moving rows", place=f"tensor {place.name}",
        remedy=_REMEDY,
    )  # fmt: skip


def _scaled(b: Recipe, factor: float) -> Recipe:
    return b if factor == 1 else map_(cast(b, F32), "multiply", factor)


def _tensor(name: str, recipe: Recipe, dtype: DType) -> GgufTensor:
    return GgufTensor(name, recipe.shape, cast(recipe, dtype))
