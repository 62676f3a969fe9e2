"""TensorFlow's element types by their numbers, and its shapes.

Types: tensorflow/core/framework/types.proto. Knows nothing of where tensors lie.
"""

from __future__ import annotations

from translators.dtypes import DTYPES, DType
from translators.errors import MalformedSource, Unsupported
from translators.sources.protobuf import Field, Message

# The quantised types are the integers that they are stored as.
_TYPES = {
    1: "F32", 2: "F64", 3: "I32", 4: "U8", 5: "I16", 6: "I8", 8: "C64", 9: "I64", 10: "BOOL", 11: "I8",
    12: "U8", 13: "I32", 14: "BF16", 15: "I16", 16: "U16", 17: "U16", 19: "F16", 22: "U32", 23: "U64",
    24: "F8_E5M2", 25: "F8_E4M3", 26: "F8_E4M3FNUZ", 28: "F8_E5M2FNUZ",
}  # fmt: skip
# Strings, handles of resources, variants: what is no number is no weight.
_NO_NUMBERS = frozenset({7, 20, 21})
_OTHERS = {
    18: "complex128", 27: "float8_e4m3b11fnuz", 29: "int4", 30: "uint4", 31: "int2", 32: "uint2",
    33: "float4_e2m1fn",
}  # fmt: skip
_MOST_DIMENSIONS = 254  # TensorFlow's own limit


def dtype_of(number: int) -> DType | None:
    """The type of this number, None for what is no number. Raises Unsupported, without a place."""
    if number in _NO_NUMBERS:
        return None
    if number not in _TYPES:
        what = _OTHERS.get(number, f"number {number:,}")
        raise Unsupported(f"a tensor of type {what}", remedy="save it as a type that others have too")
    return DTYPES[_TYPES[number]]


def shape_of(message: Message, field: Field) -> tuple[int, ...]:
    """The shape that a TensorShapeProto says. Raises MalformedSource for one that is not known."""
    shape: list[int] = []
    dimensions = message.inside(field)
    for dim in dimensions:
        if dim.number == 3 and dim.value:
            raise message.wrong(field, "a shape that is not known")
        if dim.number == 2:
            size = 0
            inner = dimensions.inside(dim)
            for part in inner:
                if part.number == 1:
                    size = inner.number(part)
            shape.append(size)
    return checked(shape, message.wrong(field, "a shape that is none"))


def checked(shape: list[int], error: MalformedSource) -> tuple[int, ...]:
    """A shape of possible sizes; `error` for another."""
    elements = 1
    for size in shape:
        if not 0 <= size < 1 << 62:
            raise error
        elements *= max(size, 1)
        if elements >= 1 << 62:
            raise error
    if len(shape) > _MOST_DIMENSIONS:
        raise error
    return tuple(shape)
