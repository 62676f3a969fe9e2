"""What ONNX calls element types: the numbers of `TensorProto.DataType`. Knows nothing of files."""

from __future__ import annotations

NUMBERS = {
    "F32": 1, "U8": 2, "I8": 3, "U16": 4, "I16": 5, "I32": 6, "I64": 7, "BOOL": 9, "F16": 10, "F64": 11,
    "U32": 12, "U64": 13, "C64": 14, "BF16": 16, "F8_E4M3": 17, "F8_E4M3FNUZ": 18, "F8_E5M2": 19,
    "F8_E5M2FNUZ": 20, "F8_E8M0": 24,
}  # fmt: skip
NAMES = {number: name for name, number in NUMBERS.items()}
