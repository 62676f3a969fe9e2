"""Element types: how many bytes so many elements take, and what each format calls them.

One registry for all formats: a name means the same thing wherever it appears (`BF16` in a safetensors
header and in a GGUF is one type). A type is stored in blocks of `block` elements and `size` bytes;
a plain number is a block of one. Sources of the figures: ggml's `ggml.h` and `ggml-common.h`
(GGUF ids, block layouts) and the safetensors format's list of dtypes.
Knows nothing of how values are computed: that is `translators.quants`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DType:
    """An element type: `size` bytes hold `block` elements; `gguf` is its id there, if it has one."""

    name: str
    block: int
    size: int
    gguf: int | None = None
    safetensors: bool = False

    def nbytes(self, elements: int) -> int:
        """Bytes of `elements` elements, which must fill whole blocks."""
        if elements % self.block:
            raise ValueError(f"{elements} elements are no whole number of {self.name} blocks of {self.block}")
        return elements // self.block * self.size

    @property
    def is_float(self) -> bool:
        """True for the plain floating-point types that every GGUF file may hold without quantisation."""
        return self.name in ("F32", "F16", "BF16")

    @property
    def is_quantised(self) -> bool:
        """True for ggml's block types."""
        return self.gguf is not None and self.block > 1


def _plain(name: str, size: int, gguf: int | None = None, *, safetensors: bool = True) -> DType:
    return DType(name, 1, size, gguf, safetensors)


def _blocks(name: str, block: int, size: int, gguf: int) -> DType:
    return DType(name, block, size, gguf)


_ALL = (
    _plain("F32", 4, 0),
    _plain("F16", 2, 1),
    _plain("BF16", 2, 30),
    _plain("F64", 8, 28),
    _plain("I8", 1, 24),
    _plain("I16", 2, 25),
    _plain("I32", 4, 26),
    _plain("I64", 8, 27),
    _plain("BOOL", 1),
    _plain("U8", 1),
    _plain("U16", 2),
    _plain("U32", 4),
    _plain("U64", 8),
    _plain("C64", 8),
    _plain("F8_E5M2", 1),
    _plain("F8_E4M3", 1),
    _plain("F8_E8M0", 1),
    _plain("F8_E4M3FNUZ", 1),
    _plain("F8_E5M2FNUZ", 1),
    DType("F4", 2, 1, safetensors=True),
    DType("F6_E2M3", 4, 3, safetensors=True),
    DType("F6_E3M2", 4, 3, safetensors=True),
    _blocks("Q4_0", 32, 18, 2),
    _blocks("Q4_1", 32, 20, 3),
    _blocks("Q5_0", 32, 22, 6),
    _blocks("Q5_1", 32, 24, 7),
    _blocks("Q8_0", 32, 34, 8),
    _blocks("Q8_1", 32, 36, 9),
    _blocks("Q2_K", 256, 84, 10),
    _blocks("Q3_K", 256, 110, 11),
    _blocks("Q4_K", 256, 144, 12),
    _blocks("Q5_K", 256, 176, 13),
    _blocks("Q6_K", 256, 210, 14),
    _blocks("Q8_K", 256, 292, 15),
    _blocks("IQ2_XXS", 256, 66, 16),
    _blocks("IQ2_XS", 256, 74, 17),
    _blocks("IQ3_XXS", 256, 98, 18),
    _blocks("IQ1_S", 256, 50, 19),
    _blocks("IQ4_NL", 32, 18, 20),
    _blocks("IQ3_S", 256, 110, 21),
    _blocks("IQ2_S", 256, 82, 22),
    _blocks("IQ4_XS", 256, 136, 23),
    _blocks("IQ1_M", 256, 56, 29),
    _blocks("TQ1_0", 256, 54, 34),
    _blocks("TQ2_0", 256, 66, 35),
    _blocks("MXFP4", 32, 17, 39),
    _blocks("NVFP4", 64, 36, 40),
    _blocks("Q1_0", 128, 18, 41),
    _blocks("Q2_0", 64, 18, 42),
)

DTYPES: dict[str, DType] = {dtype.name: dtype for dtype in _ALL}
GGUF_DTYPES: dict[int, DType] = {dtype.gguf: dtype for dtype in _ALL if dtype.gguf is not None}
F32, F16, BF16 = DTYPES["F32"], DTYPES["F16"], DTYPES["BF16"]
