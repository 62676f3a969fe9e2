"""Tiny models as Meta releases them: consolidated.NN.pth, params.json, tokenizer.model.

    folder = build(ORIGINALS["Llama-3.1-70B"], directory)

The same bytes on every machine, as those of `tests.tiny_models`: an archive as torch.save makes one is
written by hand, its pickle opcode by opcode. `make meta-check` has torch and transformers read them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.tiny_models import stored, values
from tests.tiny_tokenizers import SIZE, sentencepiece
from tests.translators.torch_files import archive, items, pickled, storage, tensor

Matrix = npt.NDArray[np.float32]

_KINDS = {"BF16": "BFloat16Storage", "F16": "HalfStorage", "F32": "FloatStorage"}
_WORDS = (" the", " of", " and", "ing", "er", "on", " prism", " light", "  ", "\u00e9")
DIM, HEADS = 64, 8


def ranks() -> bytes:
    """A list of ranks as tiktoken keeps it: the bytes, then words that merge from them."""
    tokens = [bytes([byte]) for byte in range(256)]
    for word in _WORDS:
        data = word.encode()
        tokens += [data[:cut] for cut in range(2, len(data) + 1) if data[:cut] not in tokens]
    return b"".join(base64.b64encode(each) + f" {rank}\n".encode() for rank, each in enumerate(tokens))


RANKS = ranks().count(b"\n")


@dataclass(frozen=True)
class Original:
    """A model to be built.

    version:   transformers' name of the release, which its converter is told.
    params:    params.json.
    hidden:    the width of the feed-forward part. tokens: rows of the embeddings.
    tokenizer: tokenizer.model. above: it lies in the directory further up.
    by_tokens: the embeddings are divided among shards by tokens. tied: the output is the embeddings.
    repeated:  how often each head of keys and values comes.
    """

    name: str
    version: str
    params: Mapping[str, Any]
    shards: int = 1
    hidden: int = 256
    tokens: int = SIZE
    dtype: str = "BF16"
    tokenizer: bytes = field(default_factory=sentencepiece)
    above: bool = False
    by_tokens: bool = False
    tied: bool = False
    repeated: int = 1


def _params(**others: Any) -> dict[str, Any]:
    return {"dim": DIM, "n_heads": HEADS, "n_layers": 2, "norm_eps": 1e-5, "vocab_size": -1, **others}


_RANKED = {"rope_theta": 500000.0, "n_kv_heads": 4, "multiple_of": 32, "vocab_size": 256 + RANKS}


def _ranked(name: str, version: str, hidden: int = 192, **others: Any) -> Original:
    params = _params(**_RANKED, **others.pop("params", {}))
    return Original(
        name, version, params, hidden=hidden, tokens=256 + RANKS, tokenizer=ranks(), by_tokens=True, **others
    )


ORIGINALS = {
    each.name: each
    for each in (
        Original("7B", "1", _params(multiple_of=256, norm_eps=1e-6), dtype="F16", above=True),
        Original("Llama-2-13b-meta", "2", _params(multiple_of=256), shards=2),
        Original(
            "Llama-2-70b-meta", "2", _params(multiple_of=32, ffn_dim_multiplier=1.3, n_kv_heads=8),
            shards=8, hidden=224,
        ),
        Original("CodeLlama-7b-meta", "2", _params(multiple_of=256, rope_theta=1000000)),
        _ranked("Meta-Llama-3-8B-meta", "3"),
        _ranked("Meta-Llama-3.1-70B-meta", "3.1", shards=2, params={"use_scaled_rope": True}),
        _ranked(
            "Llama-3.2-1B-meta", "3.2", 256, tied=True,
            params={"use_scaled_rope": True, "ffn_dim_multiplier": 1.5},
        ),
    )
}  # fmt: skip


def build(original: Original, directory: Path) -> Path:
    """Write the model's folder into `directory` and return its path."""
    folder = directory / original.name
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(original.params))
    place = directory if original.above else folder
    (place / "tokenizer.model").write_bytes(original.tokenizer)
    whole = dict(_tensors(original))
    for shard in range(original.shards):
        parts = {name: _part(matrix, axis, shard, original.shards) for name, (matrix, axis) in whole.items()}
        (folder / f"consolidated.{shard:02d}.pth").write_bytes(saved(parts, original.dtype))
    return folder


def saved(tensors: Mapping[str, Matrix], dtype: str) -> bytes:
    """A file as torch.save makes it of a state dict."""
    entries = {}
    storages = {}
    for key, (name, matrix) in enumerate(tensors.items()):
        storages[str(key)] = stored(np.ascontiguousarray(matrix), dtype)
        steps = tuple(prod(matrix.shape[axis + 1 :]) for axis in range(matrix.ndim))
        entries[name] = tensor(matrix.shape, steps, of=storage(str(key), matrix.size, _KINDS[dtype]))
    return archive(pickled(items(**entries)), storages)


def _part(matrix: Matrix, axis: int | None, shard: int, count: int) -> Matrix:
    if axis is None:
        return matrix
    length = matrix.shape[axis] // count
    return np.take(matrix, range(shard * length, (shard + 1) * length), axis)


def _tensors(original: Original) -> Iterator[tuple[str, tuple[Matrix, int | None]]]:
    """Each tensor whole, and the axis along which shards divide it."""

    def made(name: str, *shape: int) -> Matrix:
        return values(original.name, name, shape)

    heads = original.params.get("n_kv_heads") or HEADS
    width, hidden = DIM // HEADS * heads, original.hidden
    embeddings = made("tok_embeddings.weight", original.tokens, DIM)
    yield "tok_embeddings.weight", (embeddings, 0 if original.by_tokens else 1)
    yield "norm.weight", (made("norm.weight", DIM), None)
    yield "output.weight", (embeddings if original.tied else made("output.weight", original.tokens, DIM), 0)
    for layer in range(original.params["n_layers"]):
        before = f"layers.{layer}."
        for name, rows in (("wq", DIM), ("wk", width), ("wv", width)):
            matrix = made(f"{before}attention.{name}.weight", rows, DIM)
            if name != "wq" and original.repeated > 1:
                by_head = matrix.reshape(heads, DIM // HEADS, DIM)
                matrix = np.repeat(by_head, original.repeated, axis=0).reshape(-1, DIM)
            yield f"{before}attention.{name}.weight", (matrix, 0)
        yield f"{before}attention.wo.weight", (made(f"{before}attention.wo.weight", DIM, DIM), 1)
        for name, axis in (("w1", 0), ("w2", 1), ("w3", 0)):
            shape = (DIM, hidden) if axis else (hidden, DIM)
            yield f"{before}feed_forward.{name}.weight", (made(f"{before}{name}.weight", *shape), axis)
        for name in ("attention_norm", "ffn_norm"):
            yield f"{before}{name}.weight", (made(f"{before}{name}.weight", DIM), None)
    yield "rope.freqs", (np.arange(DIM // HEADS // 2, dtype=np.float32), None)
