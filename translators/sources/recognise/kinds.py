"""What a stored format is, as far as names tell, and what a name says of the file.

Knows no format but by its suffixes; which names are a model is told by the finders beside.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

SAFETENSORS, GGUF, BIN, NPZ, MSGPACK = ".safetensors", ".gguf", ".bin", ".npz", ".msgpack"
H5, KERAS, KERAS_WEIGHTS = ".h5", ".keras", ".weights.h5"
ONNX = ".onnx"
INDEX_SUFFIX = ".index.json"
INDEX = SAFETENSORS + INDEX_SUFFIX
# Directories beside the weights whose files decide as well what a model appears as.
INSIDE = ("additional_chat_templates", "variables")

# llama.cpp writes five digits; some safetensors sets count to six (model-00001-of-000163).
_SPLIT = re.compile(r"(?P<stem>.+)-(?P<number>\d{5})-of-(?P<count>\d{5,6})", re.DOTALL)
ADAPTER_CONFIG = "adapter_config.json"
PROJECTOR = "mmproj"
# What says that consolidated*.safetensors are Mistral's own form of a model.
PARAMS = "params.json"
# The data of TensorFlow's checkpoints lie in files that are numbered behind their dot, from 0.
_BUNDLE = re.compile(r"(?P<stem>.+)\.data-(?P<number>\d{5})-of-(?P<count>\d{5,6})", re.DOTALL)
# llama-2-7b.ggmlv3.q4_0.bin, ggml-model-f16.bin, but not whisper.cpp's ggml-base.en.bin.
_GGML = re.compile(r"^ggml-(?!tiny|base|small|medium|large|distil|silero)|\.ggml(v\d)?\.", re.IGNORECASE)
BUNDLE_INDEX, SAVED_MODEL, GRAPH, TFLITE = ".index", "saved_model.pb", ".pb", ".tflite"


@dataclass(frozen=True)
class Found:
    """A model in a directory. `name` is "" where the directory itself is the model, else the files' stem.

    `format` is a name of `FORMATS`. `files` are names: what must be read, an index file first, then the
    weights sorted.
    """

    format: str
    name: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """What a weight file's name says: shard `number` (from 1) of `count` of `stem`; 0 of 0: all of it."""

    stem: str
    number: int = 0
    count: int = 0


@dataclass(frozen=True)
class Format:
    """A stored format, as far as names tell.

    suffixes: what names of its weights end in, in any case.
    models:   the models that files of these names, sorted, are; `checkpoint` for a usual format.
    alone:    a file of it is a model by itself, with a name of its own, also where it is alone in its
              directory; else a file that is named stands for its directory.
    """

    name: str
    suffixes: tuple[str, ...]
    models: Callable[[Format, list[str]], list[Found]]
    alone: bool = False

    def is_weight(self, name: str) -> bool:
        """Whether a file of this name may hold weights of this format."""
        return name.lower().endswith(self.suffixes)

    def is_index(self, name: str) -> bool:
        """Whether a file of this name says which shard holds which tensor."""
        return name.endswith(tuple(suffix + INDEX_SUFFIX for suffix in self.suffixes))


@dataclass(frozen=True)
class Bundles(Format):
    """TensorFlow's checkpoints: files of data, and an index that has no JSON in it."""

    def is_weight(self, name: str) -> bool:
        """Whether it is a file of data."""
        return _BUNDLE.fullmatch(name) is not None

    def is_index(self, name: str) -> bool:
        """Whether it may be an index: other programs call theirs so too."""
        return name.endswith(BUNDLE_INDEX)


@dataclass(frozen=True)
class Legacy(Format):
    """llama.cpp's files of before GGUF; those of whisper.cpp are called much the same."""

    def is_weight(self, name: str) -> bool:
        """Whether it is called as those were."""
        return super().is_weight(name) and _GGML.search(name) is not None


@dataclass(frozen=True)
class PyTorch(Format):
    """What torch.save wrote, which has the extension of those files too."""

    def is_weight(self, name: str) -> bool:
        """Whether it may be one, by a name that is none of theirs."""
        return super().is_weight(name) and not (name.lower().endswith(BIN) and _GGML.search(name))


@dataclass(frozen=True)
class Named(Format):
    """A format whose file has one name, the only one of `suffixes`."""

    def is_weight(self, name: str) -> bool:
        """Whether that is the name."""
        return name in self.suffixes


def part_of(name: str) -> Part:
    """What the name of a weight file or of an index says."""
    is_index = name.endswith(INDEX_SUFFIX)
    stem = name.removesuffix(INDEX_SUFFIX)
    stem = stem[: stem.rindex(".")]
    bundle = _BUNDLE.fullmatch(name)
    if bundle is not None:
        return Part(bundle["stem"], int(bundle["number"]) + 1, int(bundle["count"]))
    match = None if is_index else _SPLIT.fullmatch(stem)
    return Part(match["stem"], int(match["number"]), int(match["count"])) if match else Part(stem)


def named(kind: str, sets: list[tuple[str, tuple[str, ...]]]) -> list[Found]:
    """Sets of files as models with their names; an only one is its directory."""
    if len(sets) == 1:
        return [Found(kind, "", sets[0][1])]
    return [Found(kind, stem, files) for stem, files in sets]
