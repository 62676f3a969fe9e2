"""llama-quantize's choices: the order of the tensors and the type of each.

What `choose` gives is what upstream's tool (b11434) writes without options other than the file type and
--allow-requantize. Where the tool fails, it raises Unsupported with its reason.
The rules lie in `names` (what a name tells), `mixtures` (who gets another type) and `subject` (the model).
Knows nothing of how values are computed or where a source lies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from translators.dtypes import DTYPES, F16, F32, DType
from translators.errors import Unsupported
from translators.keyvalues import KeyValues
from translators.quants import can_decode, needs_imatrix
from translators.quants.filetypes import FileType
from translators.quants.mixtures import LOWEST, RULES, Position, Rule
from translators.quants.names import OUTPUT_WEIGHT, Role, layer, may_change, role, visiting_order
from translators.quants.subject import Subject

# Where a row is no whole number of blocks, a type gives way to one of 32-element blocks, or to F16.
_NARROWER = {
    **dict.fromkeys(("IQ1_S", "IQ1_M", "IQ2_XXS", "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_XS"), "IQ4_NL"),
    **dict.fromkeys(("Q2_0", "Q2_K", "Q3_K", "TQ1_0", "TQ2_0"), "Q4_0"),
    "Q4_K": "Q5_0",
    "Q5_K": "Q5_1",
    "Q6_K": "Q8_0",
}
_SMALL_BLOCK = 32
_LACKS = ", and the one here has no weights for this tensor"
_NO_MATRIX = "put the model's imatrix.gguf beside it, or ask for a larger type"
# Kept at eight bits in GLM 5 whatever the file type.
_GLM5_PRECIOUS = ("attn_q_a", "attn_q_b", "nextn.eh_proj")


@dataclass(frozen=True, slots=True)
class QuantTensor:
    """A tensor before it is quantised; `shape` is row-major."""

    name: str
    shape: tuple[int, ...]
    dtype: DType

    @property
    def row(self) -> int:
        """Elements of a row, which blocks never cross."""
        return self.shape[-1] if self.shape else 1


def choose(
    tensors: Sequence[QuantTensor],
    file_type: FileType,
    key_values: KeyValues,
    *,
    imatrix: frozenset[str] | None = None,
) -> list[tuple[QuantTensor, DType]]:
    """The tensors in the order of the output, each with the type that it gets there.

    `imatrix` names the tensors that an importance matrix has weights for; None where there is none.
    Raises Unsupported where llama-quantize fails: an architecture that it does not know, a type that
    needs an importance matrix, a row length that has no fallback, a source type that it cannot decode.
    """
    return Choices(tensors, key_values).of(file_type, imatrix=imatrix)


class Choices:
    """`choose` for many file types of one model: what does not depend on the type is found out once.

    `model` is what its key-values say of it, which is all that matters of them.
    """

    def __init__(self, tensors: Sequence[QuantTensor], model: KeyValues | Subject) -> None:
        self.tensors = tuple(tensors)
        self._model = model

    def of(
        self, file_type: FileType, *, imatrix: frozenset[str] | None = None
    ) -> list[tuple[QuantTensor, DType]]:
        """The tensors with their types, as `choose` gives them; raises what it raises."""
        choice = _Choice(self, file_type, weighted=imatrix is not None)
        known: dict[tuple[int, bool], DType] = {}
        result = []
        for visited in self.visited:
            tensor = visited.tensor
            if not visited.may_change:
                result.append((tensor, tensor.dtype))
                continue
            alike = visited.alike, imatrix is not None and tensor.name in imatrix
            dtype = known.get(alike)
            if dtype is None:
                dtype = choice.type_of(visited)
                _refuse_unweighted(visited, dtype, file_type, imatrix)
                _refuse_unreadable(tensor, dtype)
                if not choice.counts(visited.role):
                    known[alike] = dtype
            result.append((tensor, dtype))
        return result

    @cached_property
    def subject(self) -> Subject:
        """What llama-quantize reads of the model. Raises Unsupported where it cannot open it."""
        return self._model if isinstance(self._model, Subject) else Subject.of(self._model)

    @cached_property
    def visited(self) -> list[_Visited]:
        """The tensors in the order of the output."""
        architecture = self.subject.architecture
        alike: dict[tuple[object, ...], int] = {}
        found = []
        for tensor in sorted(self.tensors, key=lambda tensor: visiting_order(tensor.name)):
            kind = role(tensor.name)
            key = kind, tensor.row, tensor.dtype.name, _stacked(tensor), _is_precious(tensor, architecture)
            number = alike.setdefault(key, len(alike))
            changes = may_change(tensor.name, tensor.shape, architecture)
            found.append(_Visited(tensor, kind, changes, number))
        return found

    @cached_property
    def tied(self) -> bool:
        """Whether the embedding is the output matrix as well."""
        return all(visited.tensor.name != OUTPUT_WEIGHT for visited in self.visited)

    @cached_property
    def values(self) -> int:
        """How many value matrices there are."""
        return sum(visited.role is Role.VALUE for visited in self.visited)


@dataclass(frozen=True, slots=True)
class _Visited:
    """A tensor in visiting order, with what its name and shape say.

    Those with the same number `alike` get the same type wherever it does not matter how many came before.
    """

    tensor: QuantTensor
    role: Role
    may_change: bool
    alike: int


@cache
def _rules(file_type: str, kind: Role) -> tuple[Rule, ...]:
    """The rules for a role in files of one type."""
    return tuple(rule for rule in RULES.get(kind, ()) if file_type in rule.file_types)


class _Choice:
    """One run over the tensors in visiting order: some rules count how many of a kind came before."""

    def __init__(self, choices: Choices, file_type: FileType, *, weighted: bool) -> None:
        self.file_type = file_type
        self.model = choices.subject
        self.weighted = weighted
        self.tied = choices.tied
        self.values = choices.values
        self.seen: Counter[Role] = Counter()

    def counts(self, kind: Role) -> bool:
        """Whether a tensor's type may depend on how many of its kind came before."""
        return bool(self.model.experts or _rules(self.file_type.name, kind))

    def type_of(self, visited: _Visited) -> DType:
        """The type of a tensor that may change; asked once for each, in visiting order."""
        if not self.file_type.dtype.is_quantised:
            return self.file_type.dtype
        return _fitted(visited.tensor, DTYPES[self._wanted(visited.tensor, visited.role)])

    def _wanted(self, tensor: QuantTensor, kind: Role) -> str:
        """The type that the mixture wants, whether rows fit it or not."""
        if _is_precious(tensor, self.model.architecture):
            return "Q8_0"
        if kind is Role.OUTPUT or (self.tied and kind is Role.EMBEDDING):
            return self._output(tensor)
        if self.file_type.name == "mxfp4_moe":
            return "MXFP4" if self._is_expert(tensor, kind) else "Q8_0"
        wanted = self.file_type.dtype.name
        if self.counts(kind):  # of experts the layer must be told, whatever becomes of it
            rules = _rules(self.file_type.name, kind)
            position = self._position(tensor, kind)
            wanted = next((rule.then for rule in rules if rule.when(position)), wanted)
        if kind is Role.VALUE and self.file_type.name not in LOWEST:
            wanted = self._raised_value(wanted)
        if kind is Role.KEY and self.file_type.name not in LOWEST and self.model.experts == 8:
            wanted = "Q8_0"
        return wanted

    def _output(self, tensor: QuantTensor) -> str:
        """The type of the output matrix, or of the embedding that stands in for it."""
        own = self.file_type.dtype
        if (
            self.file_type.name == "mxfp4_moe"
            or self.model.architecture == "falcon"
            or tensor.row % own.block
        ):
            return "Q8_0"
        if self.file_type.name in LOWEST or self.file_type.name == "iq3_xxs":
            return "Q5_K"
        return "Q8_0" if own.name == "Q8_0" else "Q6_K"

    def _is_expert(self, tensor: QuantTensor, kind: Role) -> bool:
        return _stacked(tensor) and (
            self.model.architecture != "bailingmoe3" or kind in (Role.UP, Role.GATE, Role.DOWN)
        )

    def _position(self, tensor: QuantTensor, kind: Role) -> Position:
        index = self.seen[kind]
        self.seen[kind] += 1
        total = self.values if kind is Role.VALUE else self.model.layers
        feed_forward = kind in (Role.UP, Role.GATE, Role.DOWN)
        if feed_forward and self.model.experts > 1 and self.file_type.name not in LOWEST:
            # Experts may be many tensors a layer, in any order: only the name tells the layer.
            number = layer(tensor.name)
            if number is None or not 0 <= number < total:
                raise Unsupported("llama-quantize cannot tell its layer", place=f"tensor {tensor.name}")
            index = number
        return Position(self.model, self.weighted, index, total)

    def _raised_value(self, wanted: str) -> str:
        """Value weights are small where many heads share them: large models spend more bits there."""
        if self.model.experts == 8:
            return "Q8_0"
        if self.model.is_70b and wanted in ("Q3_K", "Q4_K"):
            return "Q5_K"
        return wanted


def _fitted(tensor: QuantTensor, wanted: DType) -> DType:
    """The type wanted, or what it gives way to where a row is no whole number of its blocks."""
    if tensor.row % wanted.block == 0:
        return wanted
    if wanted.name not in _NARROWER and wanted.block > _SMALL_BLOCK:
        raise Unsupported(
            f"rows of {tensor.row:,} elements are no whole number of {wanted.name} blocks of {wanted.block}",
            place=f"tensor {tensor.name}",
        )
    narrower = DTYPES[_NARROWER.get(wanted.name, wanted.name)]
    return F16 if tensor.row % narrower.block else narrower


def _refuse_unweighted(
    visited: _Visited, dtype: DType, file_type: FileType, imatrix: frozenset[str] | None
) -> None:
    """Refuse a type that is worthless without an importance matrix, where upstream refuses it.

    Of a tensor that has the type already nothing is asked, if there is a matrix at all.
    """
    tensor = visited.tensor
    if imatrix is not None and (tensor.name in imatrix or dtype is tensor.dtype):
        return
    unweighted = needs_imatrix(dtype) or (dtype.name == "Q2_K" and file_type.name == "q2_k_s")
    if unweighted and visited.role not in (Role.OUTPUT, Role.EMBEDDING):
        raise Unsupported(
            f"{dtype.name} needs an importance matrix" + (_LACKS if imatrix is not None else ""),
            place=f"tensor {tensor.name}",
            remedy="ask for a larger type" if imatrix is not None else _NO_MATRIX,
        )


def _refuse_unreadable(tensor: QuantTensor, dtype: DType) -> None:
    if dtype is not tensor.dtype and not (can_decode(tensor.dtype) and _is_source(tensor.dtype)):
        raise Unsupported(
            f"llama-quantize cannot convert from {tensor.dtype.name}", place=f"tensor {tensor.name}"
        )


def _stacked(tensor: QuantTensor) -> bool:
    """Whether it holds a matrix for each of several experts."""
    return len(tensor.shape) > 2 and tensor.shape[-3] > 1


def _is_precious(tensor: QuantTensor, architecture: str) -> bool:
    return architecture == "glm5-next" and any(part in tensor.name for part in _GLM5_PRECIOUS)


def _is_source(dtype: DType) -> bool:
    """True for what llama-quantize converts from: floats of up to 32 bits, and quantised types."""
    return dtype is F32 or dtype.is_float or dtype.is_quantised
