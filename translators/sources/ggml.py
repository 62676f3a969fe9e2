"""LLaMA models of llama.cpp's first months (2023), before GGUF: `ggml`, `ggmf` and `ggjt` files.

    model = ggml.read(Path("llamas"), ["llama-2-7b.ggmlv3.q4_0.bin"], "llama-2-7b.ggmlv3.q4_0")

Such a file has hyper-parameters without names, a vocabulary and tensors; the model is the GGUF that
upstream's convert_llama_ggml_to_gguf.py makes of it, key-values and all, so that every target follows. How
many heads the keys have is told by their shape (upstream wants to be told); a config.json beside the file
tells the epsilon and the context length that the file lacks, else they are upstream's guesses: 5e-06, 2048.
(At b11434 upstream's script writes wrong shapes of tensors, and fails at blocks; here they are right.)
Blocks whose layout changed before ggjt 3 are refused, as upstream refuses them; so is what is no LLaMA.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Any, NoReturn

from translators.dtypes import GGUF_DTYPES
from translators.errors import Unsupported
from translators.keyvalues import KeyValues, ValueType
from translators.model import Extent, Model, Tensor
from translators.sources.side_files import config_of, side_files
from translators.sources.stored_file import StoredFile, clipped

# What a file begins with: the name of its form, and how many versions that has (none is told by the first).
_FORMS = {b"lmgg": ("GGML", 0), b"fmgg": ("GGMF", 1), b"tjgg": ("GGJT", 3)}
# llama.cpp's names of the types that a file could be of.
_FILE_TYPES = {
    0: "ALL_F32", 1: "MOSTLY_F16", 2: "MOSTLY_Q4_0", 3: "MOSTLY_Q4_1", 4: "MOSTLY_Q4_1_SOME_F16",
    7: "MOSTLY_Q8_0", 8: "MOSTLY_Q5_0", 9: "MOSTLY_Q5_1", 10: "MOSTLY_Q2_K", 11: "MOSTLY_Q3_K_S",
    12: "MOSTLY_Q3_K_M", 13: "MOSTLY_Q3_K_L", 14: "MOSTLY_Q4_K_S", 15: "MOSTLY_Q4_K_M",
    16: "MOSTLY_Q5_K_S", 17: "MOSTLY_Q5_K_M", 18: "MOSTLY_Q6_K",
}  # fmt: skip
# Blocks that ggjt 3 laid out anew.
_CHANGED = ("Q4_0", "Q4_1", "Q8_0")
_NAMES = {
    "tok_embeddings": "token_embd", "norm": "output_norm", "output": "output", "attention.wq": "attn_q",
    "attention.wk": "attn_k", "attention.wv": "attn_v", "attention.wo": "attn_output",
    "attention_norm": "attn_norm", "feed_forward.w1": "ffn_gate", "feed_forward.w2": "ffn_down",
    "feed_forward.w3": "ffn_up", "ffn_norm": "ffn_norm",
}  # fmt: skip
_NAME = re.compile(r"(?:layers\.(?P<layer>\d{1,4})\.)?(?P<part>[a-z_]+(?:\.w[a-z0-9])?)\.weight")
_ALIGNED = 32
_WINDOW = 1 << 20
# Bounds of what is read: a word and a tensor's name (upstream's), words, tensors.
_LONGEST, _MOST_WORDS, _MOST_TENSORS = 4096, 1 << 20, 20_000
_REMEDY = "fetch the model as a GGUF"


@dataclass(frozen=True)
class _Head:
    """The hyper-parameters, in the order of the file, but for one of no use."""

    n_vocab: int
    n_embd: int
    n_head: int
    n_layer: int
    n_rot: int
    file_type: int


def read(root: Path, files: Sequence[str], name: str) -> Model:
    """The model in the one of `files` of the directory `root`.

    Raises MalformedSource, MissingSource, or Unsupported (another architecture, blocks of before ggjt 3).
    """
    with StoredFile(root / files[0]) as file:
        walk = _Walk(file)
        form, version = _form(walk)
        head = _head(walk)
        words = list(_words(walk, head.n_vocab, scored=form != "GGML"))
        tensors = _tensors(walk, form, version)
        identity = file.identity
        key_values = KeyValues()
        _describe(key_values, files[0], f"{form}v{version}", head)
        _size(walk, key_values, head, tensors)
        _vocabulary(key_values, words)
    _tell(key_values, config_of(root))
    return Model(
        root=root,
        name=name,
        format="ggml",
        files=(identity, *side_files(root)),
        weights=1,
        tensors=tensors,
        key_values=key_values,
    )


class _Walk:
    """A place in a file that only moves forward."""

    def __init__(self, file: StoredFile) -> None:
        self.file, self.at, self.place = file, 0, "header"
        self._window, self._start = b"", 0

    def take(self, count: int) -> bytes:
        """The next bytes, few of them."""
        start = self.at - self._start
        if not 0 <= start <= start + count <= len(self._window):
            if self.at + count > self.file.size:
                self.wrong(f"the file ends after {self.file.size:,} bytes")
            self._start, start = self.at, 0
            self._window = self.file.read(self.at, min(_WINDOW, self.file.size - self.at))
        self.at += count
        return self._window[start : start + count]

    def numbers(self, count: int) -> tuple[int, ...]:
        """The next unsigned numbers of 32 bits."""
        return struct.unpack(f"<{count}I", self.take(4 * count))

    def wrong(self, reason: str) -> NoReturn:
        raise self.file.malformed(reason, self.place)

    def unsupported(self, reason: str) -> NoReturn:
        raise Unsupported(clipped(reason), path=self.file.shown, place=clipped(self.place), remedy=_REMEDY)


def _form(walk: _Walk) -> tuple[str, int]:
    """The form's name, and its version."""
    magic = walk.take(4)
    if magic not in _FORMS:
        walk.wrong("does not begin as a ggml, ggmf or ggjt file")
    form, newest = _FORMS[magic]
    if not newest:
        return form, 1
    (version,) = walk.numbers(1)
    if not 1 <= version <= newest:
        walk.unsupported(f"{form.lower()} version {version:,}")
    return form, version


def _head(walk: _Walk) -> _Head:
    n_vocab, n_embd, _, n_head, n_layer, n_rot, file_type = walk.numbers(7)
    sane = 3 <= n_vocab <= _MOST_WORDS and 0 < n_embd <= 1 << 20 and 0 < n_layer <= 1000 and n_head > 0
    # Other programs' models begin alike, with other numbers in these places.
    if not sane or n_embd % n_head or n_rot != n_embd // n_head or file_type not in _FILE_TYPES:
        walk.unsupported("is no LLaMA model, by its hyper-parameters")
    return _Head(n_vocab, n_embd, n_head, n_layer, n_rot, file_type)


def _words(walk: _Walk, count: int, *, scored: bool) -> Iterator[tuple[bytes, float]]:
    """The vocabulary: words and their scores, which the first form does not have."""
    for number in range(count):
        walk.place = f"word number {number}"
        (length,) = walk.numbers(1)
        if length >= _LONGEST:
            walk.wrong(f"a word of {length:,} bytes")
        word = walk.take(length)
        yield word, struct.unpack("<f", walk.take(4))[0] if scored else 0.0


def _tensors(walk: _Walk, form: str, version: int) -> dict[str, Tensor]:
    """All tensors under their names in a GGUF, in the order of the file."""
    tensors: dict[str, Tensor] = {}
    while walk.at < walk.file.size:
        walk.place = f"tensor number {len(tensors)}"
        dimensions, length, kind = walk.numbers(3)
        if not 1 <= dimensions <= 4 or length >= _LONGEST or len(tensors) == _MOST_TENSORS:
            walk.wrong(f"{dimensions:,} dimensions, a name of {length:,} bytes, or too many tensors")
        shape = walk.numbers(dimensions)[::-1]
        name = _name(walk, walk.take(length).decode("utf-8", "backslashreplace"))
        dtype = GGUF_DTYPES.get(kind)
        if dtype is None:
            walk.unsupported(f"tensors of ggml type {kind:,} are not known here")
        changed = dtype.name in _CHANGED if (form, version) == ("GGJT", 2) else (form, version) != ("GGJT", 3)
        if dtype.is_quantised and changed:
            walk.unsupported(f"{dtype.name} was another layout in {form.lower()} version {version}")
        if name in tensors:
            walk.wrong("the tensor is there twice")
        elements = prod(shape)
        if shape[-1] % dtype.block or not 0 < elements < 1 << 48:
            walk.wrong(f"{dtype.name} of shape {list(shape)} is impossible")
        start = walk.at + (-walk.at % _ALIGNED if form == "GGJT" else 0)
        walk.at = start + dtype.nbytes(elements)
        if walk.at > walk.file.size:
            walk.wrong(f"the file ends after {walk.file.size:,} bytes, the tensor at {walk.at:,}")
        tensors[name] = Tensor(name, dtype, shape, Extent(0, start, walk.at - start))
    return tensors


def _name(walk: _Walk, name: str) -> str:
    """A tensor's name in a GGUF."""
    walk.place = f"tensor {name!r}"
    match = _NAME.fullmatch(name)
    own = match and _NAMES.get(match["part"])
    if match is None or own is None or (match["layer"] is None) != (own.startswith(("token", "output"))):
        walk.unsupported("is no tensor of a LLaMA model")
    return f"{own}.weight" if match["layer"] is None else f"blk.{int(match['layer'])}.{own}.weight"


def _describe(key_values: KeyValues, name: str, form: str, head: _Head) -> None:
    key_values.string("general.architecture", "llama")
    key_values.string("general.name", name)
    kind = _FILE_TYPES[head.file_type]
    key_values.string("general.description", f"converted from legacy {form} {kind} format")
    key_values.u32("general.file_type", head.file_type)


def _size(walk: _Walk, key_values: KeyValues, head: _Head, tensors: dict[str, Tensor]) -> None:
    """The hyper-parameters, two of them out of shapes."""
    walk.place = "blk.0"
    gate, keys = tensors.get("blk.0.ffn_gate.weight"), tensors.get("blk.0.attn_k.weight")
    if gate is None or keys is None:
        walk.wrong("there is no first layer")
    if keys.shape[0] % head.n_rot or not 0 < keys.shape[0] // head.n_rot <= head.n_head:
        walk.wrong(f"keys of shape {list(keys.shape)} are no heads of {head.n_rot}")
    key_values.u32("llama.context_length", 2048)
    key_values.u32("llama.embedding_length", head.n_embd)
    key_values.u32("llama.block_count", head.n_layer)
    key_values.u32("llama.feed_forward_length", gate.shape[0])
    key_values.u32("llama.rope.dimension_count", head.n_rot)
    key_values.u32("llama.attention.head_count", head.n_head)
    key_values.u32("llama.attention.head_count_kv", keys.shape[0] // head.n_rot)
    key_values.f32("llama.attention.layer_norm_rms_epsilon", 5e-06)


def _vocabulary(key_values: KeyValues, words: list[tuple[bytes, float]]) -> None:
    tokens, kinds = zip(*map(_token, range(len(words)), (word for word, _ in words)), strict=True)
    key_values.string("tokenizer.ggml.model", "llama")
    key_values.string("tokenizer.ggml.pre", "default")
    key_values.array("tokenizer.ggml.tokens", ValueType.STRING, tokens)
    key_values.array("tokenizer.ggml.scores", ValueType.F32, [score for _, score in words])
    key_values.array("tokenizer.ggml.token_type", ValueType.I32, kinds)
    key_values.u32("tokenizer.ggml.unknown_token_id", 0)
    key_values.u32("tokenizer.ggml.bos_token_id", 1)
    key_values.u32("tokenizer.ggml.eos_token_id", 2)


def _token(number: int, word: bytes) -> tuple[bytes, int]:
    """A word as SentencePiece has it, and its kind: 1 normal, 2 unknown, 3 control, 6 a byte."""
    if number < 3:
        return (b"<unk>", b"<s>", b"</s>")[number], 2 if number == 0 else 3
    if not word:
        return word, 3
    if number <= 258 and len(word) == 1:
        return b"<0x%02X>" % word[0], 6
    return word.replace(b" ", "\u2581".encode()), 1


def _tell(key_values: KeyValues, config: dict[str, Any]) -> None:
    """Set what a config.json beside the file says that the file itself does not."""
    epsilon, length = config.get("rms_norm_eps"), config.get("max_position_embeddings")
    if isinstance(epsilon, float) and isfinite(epsilon) and 0 < epsilon < 1:
        key_values.f32("llama.attention.layer_norm_rms_epsilon", epsilon)
    if type(length) is int and 0 < length < 1 << 31:
        key_values.u32("llama.context_length", length)
