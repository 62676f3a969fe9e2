"""Which models a directory holds, decided from file names alone: no file is opened.

A listing of a thousand directories must not read one of them. `FORMATS` are the stored formats, the
preferred first: where several lie in one directory, the later were made from the earlier. Names that
start with `model` are the checkpoint, as upstream's converter and transformers take it; other names count
where there are none of these.
Knows nothing of what is in a file: whether a set is complete and valid is told when it is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from translators.sources.matrices import is_imatrix

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
# What names of a whole model's weights begin with, beside which an adapter is only a file.
_WHOLE = ("model", "pytorch_model", "consolidated")
# Weights that go beside a model: adapters, optimiser states, vision projectors.
_BESIDE = (
    "adapter_model", "adapters", "optimizer", "scheduler", "random_states", "training_args", "rng_state",
)  # fmt: skip
_PROJECTOR = "mmproj"
# transformers' and diffusers' names; Meta's consolidated.NN.pth are shards of another kind.
_PYTORCH = ("pytorch_model", "diffusion_pytorch_model", "model")
# Keras' shards (model_00003.weights.h5), and members of an ensemble (net1.h5, net2.h5).
_KERAS_SHARD = re.compile(r"(?P<stem>.+)_\d{5}\.weights\.h5", re.DOTALL)
_NUMBERED = re.compile(r"(?P<stem>.*?)\d+\.(h5|hdf5)", re.DOTALL | re.IGNORECASE)
# What says that consolidated*.safetensors are Mistral's own form of a model.
PARAMS = "params.json"
_CONSOLIDATED = "consolidated"
_META = re.compile(r"consolidated(?:\.[0-9]{2})?\.pth")
# The data of TensorFlow's checkpoints lie in files that are numbered behind their dot, from 0.
_BUNDLE = re.compile(r"(?P<stem>.+)\.data-(?P<number>\d{5})-of-(?P<count>\d{5,6})", re.DOTALL)
# llama-2-7b.ggmlv3.q4_0.bin, ggml-model-f16.bin, but not whisper.cpp's ggml-base.en.bin.
_GGML = re.compile(r"^ggml-(?!tiny|base|small|medium|large|distil|silero)|\.ggml(v\d)?\.", re.IGNORECASE)
BUNDLE_INDEX, SAVED_MODEL, GRAPH, TFLITE = ".index", "saved_model.pb", ".pb", ".tflite"
# What people call the graphs that they froze; protocol buffers hold much else.
_FROZEN = re.compile(r"frozen|graph|^model\b|_model\b", re.IGNORECASE)


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
class _Bundles(Format):
    """TensorFlow's checkpoints: files of data, and an index that has no JSON in it."""

    def is_weight(self, name: str) -> bool:
        """Whether it is a file of data."""
        return _BUNDLE.fullmatch(name) is not None

    def is_index(self, name: str) -> bool:
        """Whether it may be an index: other programs call theirs so too."""
        return name.endswith(BUNDLE_INDEX)


@dataclass(frozen=True)
class _Legacy(Format):
    """llama.cpp's files of before GGUF; those of whisper.cpp are called much the same."""

    def is_weight(self, name: str) -> bool:
        """Whether it is called as those were."""
        return super().is_weight(name) and _GGML.search(name) is not None


@dataclass(frozen=True)
class _PyTorch(Format):
    """What torch.save wrote, which has the extension of those files too."""

    def is_weight(self, name: str) -> bool:
        """Whether it may be one, by a name that is none of theirs."""
        return super().is_weight(name) and not (name.lower().endswith(BIN) and _GGML.search(name))


@dataclass(frozen=True)
class _Named(Format):
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


def recognise(names: Iterable[str]) -> list[Found]:
    """The models in a directory that holds files of these names, sorted by name; [] for no weights."""
    # Hidden files are a system's own: macOS puts a "._model.safetensors" beside what it copies.
    ordered = sorted(name for name in names if not name.startswith("."))
    return next(filter(None, (format.models(format, ordered) for format in FORMATS)), [])


def format_of(name: str) -> Format | None:
    """The format of which a file of this name is weights, or their index; None for another file."""
    return next((each for each in FORMATS if each.is_weight(name) or each.is_index(name)), None)


def is_weights(name: str) -> bool:
    """Whether a file of this name may hold weights, or say which file does."""
    return format_of(name) is not None


def set_of(name: str, siblings: Collection[str]) -> Found:
    """The model that a weight file belongs to: itself, or the set that it is a shard or the index of."""
    kind = format_of(name)
    assert kind is not None, name
    part, is_index = part_of(name), kind.is_index(name)
    if not part.count and not is_index:
        return Found(kind.name, part.stem, (name,))
    parts = {other: part_of(other) for other in sorted(siblings) if kind.is_weight(other)}
    same = [
        other
        for other, its in parts.items()
        if its.stem == part.stem and (is_index or its.count == part.count)
    ]
    index = [other for other in siblings if kind.is_index(other) and part_of(other).stem == part.stem]
    return Found(kind.name, part.stem, (*index, *same))


def checkpoint(kind: Format, names: list[str]) -> list[Found]:
    """Models of a format that training frameworks write: `model*`, else each set of shards by itself."""
    weights = [name for name in names if kind.is_weight(name) or kind.is_index(name)]
    weights = [name for name in weights if not name.startswith(_BESIDE) and _PROJECTOR not in name.lower()]
    own = [name for name in weights if name.startswith("model") and kind.is_weight(name)]
    index = [name for name in weights if kind.is_index(name) and part_of(name).stem == "model"]
    if own or index:
        return [Found(kind.name, "", (*index, *own))]
    if _mistral(kind, names):
        return []
    sets: dict[str, list[str]] = {}
    for name in sorted(weights, key=lambda name: (not kind.is_index(name), name)):
        sets.setdefault(part_of(name).stem, []).append(name)
    return _named(kind.name, [(stem, tuple(files)) for stem, files in sorted(sets.items())])


def _pytorch(kind: Format, names: list[str]) -> list[Found]:
    """transformers' shards, or whatever people call a file that torch.save wrote."""
    weights = [name for name in names if kind.is_weight(name) or kind.is_index(name)]
    weights = [name for name in weights if not name.startswith(_BESIDE) and not _META.fullmatch(name)]
    for stem in _PYTORCH:
        own = [name for name in weights if name.startswith(stem) and name.endswith((BIN, BIN + INDEX_SUFFIX))]
        if own:
            return [Found(kind.name, "", (*filter(kind.is_index, own), *filter(kind.is_weight, own)))]
    if any(map(_META.fullmatch, names)):
        return []
    single: list[tuple[str, tuple[str, ...]]] = []
    for name in weights:
        if not name.lower().endswith(BIN):
            single.append((name[: name.rindex(".")], (name,)))
    return _named(kind.name, single)


def _mistral(kind: Format, names: list[str]) -> list[Found]:
    """Mistral's shards of one model, which upstream's converter tells by their beginning."""
    if PARAMS not in names:
        return []
    own = [name for name in names if kind.is_weight(name) or kind.is_index(name)]
    own = [name for name in own if part_of(name).stem == _CONSOLIDATED]
    weights = tuple(filter(kind.is_weight, own))
    return [Found(kind.name, "", (*filter(kind.is_index, own), *weights))] if weights else []


def _meta(kind: Format, names: list[str]) -> list[Found]:
    """Meta's shards of one model."""
    shards = tuple(filter(_META.fullmatch, names))
    return [Found(kind.name, "", shards)] if shards else []


def _gguf(kind: Format, names: list[str]) -> list[Found]:
    sets: dict[tuple[str, int], list[str]] = {}
    for name in (name for name in names if kind.is_weight(name) and not is_imatrix(name)):
        part = part_of(name)
        sets.setdefault((part.stem, part.count), []).append(name)
    models = {key: files for key, files in sets.items() if _PROJECTOR not in key[0].lower()} or sets
    return _named(kind.name, [(stem, tuple(files)) for (stem, _), files in sorted(models.items())])


def _peft(kind: Format, names: list[str]) -> list[Found]:
    """A LoRA adapter, where no whole model lies beside it."""
    if ADAPTER_CONFIG not in names or any(name.startswith(_WHOLE) for name in names if is_weights(name)):
        return []
    weights = [name for name in names if name in kind.suffixes]
    return [Found(kind.name, "", tuple(weights))] if weights else []


def _named(kind: str, sets: list[tuple[str, tuple[str, ...]]]) -> list[Found]:
    if len(sets) == 1:
        return [Found(kind, "", sets[0][1])]
    return [Found(kind, stem, files) for stem, files in sets]


def _flax(kind: Format, names: list[str]) -> list[Found]:
    """transformers' name, `flax_model.msgpack` or shards of it with an index; else `model.msgpack`."""
    weights = [name for name in names if kind.is_weight(name) or kind.is_index(name)]
    for stem in ("flax_model", "model"):
        own = [name for name in weights if part_of(name).stem == stem]
        if own:
            return [Found(kind.name, "", (*filter(kind.is_index, own), *filter(kind.is_weight, own)))]
    return []


def _arrays(kind: Format, names: list[str]) -> list[Found]:
    """`model*.npz`, or the only one of a directory: several of other names are data of any kind."""
    arrays = [name for name in names if kind.is_weight(name)]
    own = [name for name in arrays if name.startswith("model")]
    sets: dict[tuple[str, int], list[str]] = {}
    for name in own or (arrays if len(arrays) == 1 else []):
        part = part_of(name)
        sets.setdefault((part.stem, part.count), []).append(name)
    return _named(kind.name, [(stem, tuple(files)) for (stem, _), files in sorted(sets.items())])


def _hdf5(kind: Format, names: list[str]) -> list[Found]:
    """`tf_model.h5`; Keras' own names; `model*.h5`; the only one; or members of an ensemble, by numbers.

    Others are data of any kind, of which HDF5 files are full.
    """
    weights = [name for name in names if kind.is_weight(name) or kind.is_index(name)]
    transformers = [name for name in weights if part_of(name).stem == "tf_model"]
    if transformers:
        index = [name for name in transformers if kind.is_index(name)]
        return [Found(kind.name, "", (*index, *filter(kind.is_weight, transformers)))]
    weights = [name for name in weights if kind.is_weight(name)]
    sets: dict[str, tuple[str, ...]] = {}
    own = [name for name in weights if name.lower().endswith((KERAS, KERAS_WEIGHTS))]
    own = own or [name for name in weights if name.startswith("model")]
    numbered = [match and match["stem"] for match in map(_NUMBERED.fullmatch, weights)]
    for name in own or (weights if len(weights) == 1 or (len({*numbered}) == 1 and numbered[0]) else []):
        shard = _KERAS_SHARD.fullmatch(name)
        stem = shard["stem"] if shard else part_of(name).stem
        sets[stem] = (*sets.get(stem, ()), name)
    return _named(kind.name, sorted(sets.items()))


def _bundles(kind: Format, names: list[str]) -> list[Found]:
    """Every set of data that has its index, by the name that they have in common."""
    sets: dict[str, list[str]] = {}
    for name in filter(kind.is_weight, names):
        sets.setdefault(part_of(name).stem, []).append(name)
    indices = {stem: stem + BUNDLE_INDEX for stem in sorted(sets) if stem + BUNDLE_INDEX in names}
    return _named(kind.name, [(stem, (index, *sets[stem])) for stem, index in indices.items()])


def _saved_model(kind: Format, names: list[str]) -> list[Found]:
    """The directory, if it is one; its variables lie in a directory of their own."""
    return [Found(kind.name, "", (name,)) for name in kind.suffixes if name in names]


def _frozen(kind: Format, names: list[str]) -> list[Found]:
    """Frozen graphs by the names that people give them: `.pb` is what any protocol buffer is called."""
    graphs = [name for name in names if kind.is_weight(name) and _FROZEN.search(part_of(name).stem)]
    return _each(kind, [name for name in graphs if name != SAVED_MODEL])


def _each(kind: Format, names: list[str]) -> list[Found]:
    """Each file as a model."""
    return _named(kind.name, [(part_of(name).stem, (name,)) for name in names if kind.is_weight(name)])


# The preferred first. `sources/__init__.py` has the module that reads each.
FORMATS = (
    Format("peft", ("adapter_model.safetensors", "adapter_model.bin"), _peft),
    Format("safetensors", (SAFETENSORS,), checkpoint),
    _PyTorch("pytorch", (BIN, ".pt", ".pth", ".ckpt", ".jit"), _pytorch),
    Format("mistral", (SAFETENSORS,), _mistral),
    Format("meta", (".pth",), _meta),
    Format("gguf", (GGUF,), _gguf, alone=True),
    _Legacy("ggml", (BIN,), _each, alone=True),
    _Named("savedmodel", (SAVED_MODEL,), _saved_model),
    _Bundles("tensorflow", (), _bundles),
    Format("flax", (MSGPACK,), _flax),
    Format("npz", (NPZ,), _arrays, alone=True),
    Format("hdf5", (KERAS, H5, ".hdf5"), _hdf5),
    Format("onnx", (ONNX,), _each, alone=True),
    Format("graphdef", (GRAPH,), _frozen, alone=True),
    Format("tflite", (TFLITE,), _each, alone=True),
)
