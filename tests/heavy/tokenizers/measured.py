"""What this project makes of a directory's tokenizer, and how llama.cpp splits texts with it.

The reference for ids is the `tokenizers` library with the directory's own tokenizer.json; where there is only
a SentencePiece model or Mistral's file, with the tokenizer.json that this project makes of the GGUF.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import llama_cpp
from tokenizers import Tokenizer

from translators.gguf_file import GgufFile
from translators.keyvalues import KeyValues
from translators.vocab import huggingface_files, write_tokenizer
from translators.vocab.fast import load
from translators.vocab.folder import Folder


def key_values(root: Path, style: str, arch: str) -> KeyValues:
    """The tokenizer's key-values. Raises what `write_tokenizer` raises."""
    kv = KeyValues()
    write_tokenizer(kv, root, json.loads((root / "config.json").read_text()), style=style, arch=arch)
    return kv


def digests(kv: KeyValues) -> list[list[object]]:
    """Name, type and digest of each, in order."""
    return [[key, int(value.type), hashlib.sha256(value.raw).hexdigest()[:16]] for key, value in kv.items()]


def write_vocabulary(kv: KeyValues, arch: str, target: Path) -> None:
    """A GGUF that is a vocabulary and nothing else."""
    whole = KeyValues()
    whole.string("general.architecture", arch)
    for key, value in kv.items():
        whole.set(key, value)
    layout = GgufFile(whole, ()).layout(())
    target.write_bytes(layout.read(0, layout.size))


@contextlib.contextmanager
def llama(path: Path) -> Iterator[Llama]:
    """llama.cpp with the vocabulary of the GGUF at `path`."""
    found = Llama(path)
    try:
        yield found
    finally:
        llama_cpp.llama_model_free(found.model)


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def _silent(level: int, text: bytes, data: object) -> None:
    """llama.cpp's log goes nowhere."""


class Llama:
    """A loaded vocabulary."""

    def __init__(self, path: Path) -> None:
        llama_cpp.llama_log_set(_silent, ctypes.c_void_p(0))
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = True
        self.model = llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self.model:
            raise RuntimeError(f"llama.cpp does not load {path.name}")
        self.vocab = llama_cpp.llama_model_get_vocab(self.model)

    def ids(self, text: str) -> list[int]:
        """The ids of `text`, special tokens added as the GGUF says, none looked for in the text."""
        data = text.encode()
        room = len(data) + 16
        buffer = (llama_cpp.llama_token * room)()
        count = llama_cpp.llama_tokenize(self.vocab, data, len(data), buffer, room, True, False)
        assert count >= 0, "more tokens than bytes"
        return list(buffer[:count])


def reference(root: Path, kv: KeyValues) -> Tokenizer:
    """The Hugging Face tokenizer of the directory."""
    folder = Folder(root)
    if any(folder.has(name) for name in ("tokenizer.json", "vocab.json", "vocab.txt")):
        return load(folder, json.loads((root / "config.json").read_text())).backend
    return Tokenizer.from_str(huggingface_files(kv)["tokenizer.json"].decode())


def ids_of(path: Path, texts: Sequence[str]) -> dict[str, list[int]]:
    """llama.cpp's ids of each text by the vocabulary of the GGUF at `path`."""
    with llama(path) as model:
        return {text: model.ids(text) for text in texts}


def digest(ids: dict[str, list[int]]) -> str:
    """That of all ids, in their order."""
    return hashlib.sha256(json.dumps(list(ids.values())).encode()).hexdigest()[:16]
