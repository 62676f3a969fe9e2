"""The long lists of a tokenizer.json, its vocabulary and merges: read from JSON and looked through, in C.

A hundred thousand texts are dealt with together, as `Joined`, and no object is made of any. All answer None
where something is not as usual, and where the library was not built (it is optional): who asks then goes the
long way, by the parser that takes all of JSON and by the tokenizers library.
Knows nothing of files, nor of what a tokenizer does with its lists.
"""

from __future__ import annotations

import ctypes
from codecs import getincrementaldecoder
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from translators.joined import Joined

Marks = npt.NDArray[np.uint8]

_AT_ONCE = 1 << 14  # bytes: whether all is UTF-8 is seen without a text being made of all


class _Texts(ctypes.Structure):
    """`texts` of lists.c."""

    _fields_ = (("data", ctypes.c_void_p), ("ends", ctypes.c_void_p), ("count", ctypes.c_int64))


def merges_of(array: bytes | memoryview) -> Joined | None:
    """The merges of an array in JSON, of "left right" or of ["left", "right"] throughout: "left right" each.

    None for an empty array, for escapes other than those of quotes and backslashes, and for what is no such
    array. Raises UnicodeDecodeError for what is no UTF-8.
    """
    library = _library()
    return None if library is None else _written(library.prismfs_merges_written, array)


def vocabulary_of(document: bytes | memoryview) -> Joined | None:
    """The texts of an object in JSON, of ids by text, in which these count from 0 on.

    None for another, and as of merges. Raises UnicodeDecodeError for what is no UTF-8.
    """
    library = _library()
    return None if library is None else _written(library.prismfs_vocabulary_written, document)


def within(texts: Joined, whole: bytes, prefix: bytes = b"") -> Marks | None:
    """A 1 for each text that occurs in `whole`, or does so without the `prefix` that it begins with.

    The empty text occurs nowhere, but a text that is just the prefix does.
    """
    library = _library()
    if library is None:
        return None
    found = np.empty(len(texts), np.uint8)
    count = library.prismfs_texts_within(
        _given(texts), whole, len(whole), prefix, len(prefix), found.ctypes.data
    )
    return None if count < 0 else found


def numbered(texts: Joined, asked: Sequence[str]) -> dict[str, int] | None:
    """The numbers of those of the texts asked for, no two alike, that are among `texts`."""
    library, joined = _library(), Joined.of(asked, "surrogatepass")
    if library is None or joined is None:
        return None
    numbers = np.empty(len(asked), np.int64)
    count = library.prismfs_texts_numbered(_given(texts), _given(joined), numbers.ctypes.data)
    found = {text: number for text, number in zip(asked, numbers.tolist(), strict=True) if number >= 0}
    return None if count < 0 else found


def making(wanted: Marks, tokens: Joined, merges: Joined) -> list[int] | None:
    """The numbers of the `merges` that make a token that `wanted` [len(tokens)] has a 1 for.

    None unless no two tokens are alike, and every merge is "left right", two tokens that make a third.
    """
    library = _library()
    if library is None:
        return None
    assert wanted.shape == tokens.ends.shape
    found = np.empty(len(merges), np.int64)
    count = library.prismfs_merges_making(
        _given(tokens), _given(merges), wanted.ctypes.data, found.ctypes.data
    )
    numbers: list[int] = found[: max(0, count)].tolist()
    return None if count < 0 else numbers


def _written(write: Callable[..., int], json: bytes | memoryview) -> Joined | None:
    given = np.frombuffer(json, np.uint8)
    data, ends = bytearray(given.size), np.empty(given.size // 3 + 1, np.int64)
    out = np.frombuffer(data, np.uint8)
    count = write(given.ctypes.data, given.size, out.ctypes.data, ends.ctypes.data)
    if count < 0:
        return None
    del out  # which keeps `data` from being cut off
    del data[ends[count - 1] :]
    decoder = getincrementaldecoder("utf-8")()
    for begin in range(0, len(data), _AT_ONCE):
        decoder.decode(data[begin : begin + _AT_ONCE])
    decoder.decode(b"", final=True)
    return Joined(data, ends[:count])


def _given(texts: Joined) -> Any:
    """`texts` for the library; they must be kept until it has answered."""
    data = np.frombuffer(texts.data, np.uint8).ctypes.data
    return ctypes.byref(_Texts(data, texts.ends.ctypes.data, len(texts)))


@cache
def _library() -> ctypes.CDLL | None:
    spec = find_spec("translators.vocab._lists")
    if spec is None or spec.origin is None:
        return None
    try:
        library = ctypes.CDLL(spec.origin)
    except OSError:  # built for another platform
        return None
    texts, number, place = ctypes.POINTER(_Texts), ctypes.c_int64, ctypes.c_void_p
    text = (ctypes.c_char_p, number)
    for function, arguments in (
        (library.prismfs_merges_written, (place, number, place, place)),
        (library.prismfs_vocabulary_written, (place, number, place, place)),
        (library.prismfs_texts_within, (texts, *text, *text, place)),
        (library.prismfs_texts_numbered, (texts, texts, place)),
        (library.prismfs_merges_making, (texts, texts, place, place)),
    ):
        function.argtypes, function.restype = arguments, number
    return library
