"""What a source holds: files, tensors, and where each byte of a tensor lies.

A `Model` is what every module of `sources/` returns and every module of `targets/` starts from. It is
data: nothing in it is open, and no tensor data was read to make it. Every extent was checked against
the size of its file.
Knows nothing of how a format is parsed, nor of what the model will appear as.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from translators.dtypes import DType
from translators.errors import Unsupported

if TYPE_CHECKING:
    from translators.keyvalues import KeyValues

T = TypeVar("T")

# A file system that answers EAGAIN is asked again, after so many seconds each; EINTR is Python's to repeat.
_PATIENCE = (0.01, 0.05, 0.25)


class FileIdentity(msgspec.Struct, frozen=True, array_like=True):
    """One version of one file: bytes read from it belong together exactly as long as this holds.

    `path` is absolute and in bytes, because a file's name need not be text.
    """

    path: bytes
    size: int
    mtime_ns: int
    inode: int

    @staticmethod
    def of(path: str | os.PathLike[str]) -> FileIdentity:
        """The identity of the file at `path` now, through symlinks. Raises OSError."""
        absolute = Path(path).absolute()
        return FileIdentity.from_stat(os.fsencode(absolute), absolute.stat())

    @staticmethod
    def from_stat(path: bytes, stat: os.stat_result) -> FileIdentity:
        """The identity that `stat` tells for `path`."""
        return FileIdentity(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)

    @property
    def shown(self) -> str:
        """The path as a person can read it."""
        return self.path.decode("utf-8", "backslashreplace")


def patiently(call: Callable[..., T], *arguments: object) -> T:
    """What `call` gives of a file, asked again for a while as long as its file system answers EAGAIN."""
    for pause in _PATIENCE:
        try:
            return call(*arguments)
        except BlockingIOError:
            time.sleep(pause)
    return call(*arguments)


class Extent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`length` bytes from `offset` of the file at index `file` of the model's files."""

    file: int
    offset: int
    length: int


class SourceTensor(Protocol):
    """A tensor of a source: a stored one (`Tensor`), or one that is computed (`recipes.Derived`)."""

    @property
    def name(self) -> str:
        """What the source calls it."""

    @property
    def dtype(self) -> DType:
        """The type of its elements."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Row-major: outermost dimension first."""

    @property
    def elements(self) -> int:
        """The number of elements."""


class Tensor(msgspec.Struct, frozen=True, gc=False):
    """A stored tensor. `shape` is row-major: outermost dimension first, as in NumPy and safetensors."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    extent: Extent

    @property
    def elements(self) -> int:
        """The number of elements."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Update:
    """`scale * (left @ right)`, added to the weight that the base model calls `name`.

    left, right: [rows, rank] and [rank, columns].
    transposed:  the weight is stored [inputs, outputs], as GPT-2's, and so is the product.
    embedding:   the weight is a table of rows.
    """

    name: str
    left: SourceTensor
    right: SourceTensor
    scale: float
    transposed: bool = False
    embedding: bool = False


@dataclass(frozen=True, slots=True)
class Adapter:
    """What a model was merged with, for who keeps it apart: `alpha` as its configuration has it, the updates.

    root:   the adapter's own directory.
    beyond: what it holds that is no such update ("" for nothing), and keeps it from standing alone.
    """

    root: Path
    alpha: float
    updates: tuple[Update, ...]
    beyond: str = ""


@dataclass(frozen=True)
class Model:
    """A source: a directory of weights with their configuration, or a GGUF file with its splits.

    root:       the directory that the side files lie in.
    name:       the directory's name (or the file's, without extension): part of a GGUF's metadata.
    format:     the stored format's name, one of `sources.recognise.FORMATS`.
    files:      every file whose content decides what the model appears as; extents index into it.
    weights:    how many of `files`, from the first, hold tensors.
    tensors:    by name, in the order of the source.
    config:     config.json, or {} where there is none.
    key_values: a GGUF's own key-values, merged over its splits, or those that a file of before GGUF comes to;
                None for other formats.
    modelopt:   hf_quant_config.json, where ModelOpt says how it quantised the weights, or {}.
    metadata:   a safetensors checkpoint's `__metadata__` where all shards agree.
    tokenizer:  the directory that the tokenizer's files lie in, where it is another one than `root`.
    adapter:    what was merged into the tensors, where that is kept; None for most models.
    imatrices:  importance matrices that lie beside it: one is used; of several nobody knows which is meant.
    made:       side files of a Hugging Face directory that the source has in a form of its own, and what
                they would hold; None for a file that is there and is not what its name says.
    unrenamed:  why the tensors keep the names of their own framework, which config.json beside them is not
                about; None where it is, or where there is none.
    """

    root: Path
    name: str
    format: str
    files: tuple[FileIdentity, ...]
    weights: int
    tensors: Mapping[str, SourceTensor]
    config: dict[str, Any] = field(default_factory=dict)
    modelopt: Mapping[str, Any] = field(default_factory=dict)
    key_values: KeyValues | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    tokenizer: Path | None = None
    adapter: Adapter | None = None
    imatrices: tuple[FileIdentity, ...] = ()
    made: Mapping[str, bytes | None] = field(default_factory=dict)
    unrenamed: Unsupported | None = None
