"""Small files of every format, to begin fuzzing with: made by what the other tests make files with."""

from __future__ import annotations

import io
import json
import struct
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from math import prod
from pathlib import Path

import numpy as np

from tests import tiny_adapters, tiny_ggml, tiny_natives, tiny_originals
from tests.fuzz.folders import Files
from tests.oracle.families.variant import Variant, load, variants_by_name
from tests.oracle.tensorflow.check import SEEDS as TENSORFLOW
from tests.translators import handmade, test_sources_onnx, torch_files
from tests.translators.golden_vocab.variants import VARIANTS as VOCABULARIES

_GOLDEN = Path(__file__).resolve().parents[1] / "translators"
_BESIDE = ("generation_config.json", ".meta")
_SMALL = 16_000  # bytes: a fuzzer finds more in small files
_BYTES = {"F32": 4, "F16": 2, "BF16": 2, "U8": 1}


def safetensors() -> Iterator[Files]:
    """Headers of one and of many types."""
    every: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    for dtype, bits in handmade.SAFETENSORS_BITS.items():
        every[dtype] = handmade.entry(dtype, [2, 4], at, at + bits)
        at += bits
    for header, length in (({"a": handmade.entry("F32", [2, 3], 0, 24)}, 24), (every, at), ({}, 0)):
        yield {"model.safetensors": handmade.safetensors(header, bytes(length))}


def sharded() -> Iterator[Files]:
    """Two shards with their index."""
    first, second = handmade.shard({"a": b"aa", "b": b"b"}), handmade.shard({"c": b"ccc"})
    places = {"a": 1, "b": 1, "c": 2}
    index = {
        "metadata": {"total_size": 6},
        "weight_map": {name: f"model-{shard:05d}-of-00002.safetensors" for name, shard in places.items()},
    }
    yield {
        "model.safetensors.index.json": json.dumps(index).encode(),
        "model-00001-of-00002.safetensors": first,
        "model-00002-of-00002.safetensors": second,
    }


def gguf() -> Iterator[Files]:
    """A whole small Llama with each kind of tokenizer, and files of other versions."""
    for kind in ("llama", "gpt2", "bert"):
        yield {"model.gguf": _llama(kind)}
    values = [handmade.string("general.architecture", "x"), handmade.u16("a", 1), handmade.u32("b", 2)]
    yield {"model.gguf": handmade.gguf(values, [handmade.info("w", [3, 2], 0, 0)], bytes(24), version=2)}


def _llama(tokenizer: str) -> bytes:
    kinds = (2, 3, 3, 6, 1, 1, 1, 1)
    tokens = ["<unk>", "<s>", "</s>", "<0x00>", "a", "b", "ab", "\u2581a"]
    strings = [handmade.text(token) for token in tokens]
    count = len(tokens)
    values = [
        handmade.string("general.architecture", "llama"), handmade.string("general.name", "x"),
        handmade.u32("general.file_type", 0), handmade.u32("llama.block_count", 1),
        handmade.u32("llama.context_length", 64), handmade.u32("llama.embedding_length", 32),
        handmade.u32("llama.feed_forward_length", 32), handmade.u32("llama.attention.head_count", 2),
        handmade.u32("llama.attention.head_count_kv", 1), handmade.u32("llama.rope.dimension_count", 16),
        handmade.pair("llama.attention.layer_norm_rms_epsilon", 6, struct.pack("<f", 1e-5)),
        handmade.string("tokenizer.ggml.model", tokenizer), handmade.string("tokenizer.ggml.pre", "default"),
        handmade.pair("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, count) + b"".join(strings)),
        handmade.pair("tokenizer.ggml.scores", 9, struct.pack(f"<IQ{count}f", 6, count, *range(count))),
        handmade.pair("tokenizer.ggml.token_type", 9, struct.pack(f"<IQ{count}i", 5, count, *kinds)),
        handmade.pair("tokenizer.ggml.merges", 9, struct.pack("<IQ", 8, 1) + handmade.text("a b")),
        handmade.u32("tokenizer.ggml.bos_token_id", 1), handmade.string("tokenizer.chat_template", "{{ x }}"),
    ]  # fmt: skip
    shapes = {
        "token_embd.weight": [32, count], "output_norm.weight": [32], "blk.0.attn_norm.weight": [32],
        "blk.0.attn_q.weight": [32, 32], "blk.0.attn_k.weight": [32, 16], "blk.0.attn_v.weight": [32, 16],
        "blk.0.attn_output.weight": [32, 32], "blk.0.ffn_norm.weight": [32],
        "blk.0.ffn_gate.weight": [32, 32], "blk.0.ffn_up.weight": [32, 32], "blk.0.ffn_down.weight": [32, 32],
    }  # fmt: skip
    infos, at = [], 0
    for name, shape in shapes.items():  # Q4_0 where a row has whole blocks of it
        kind, size = (2, prod(shape) // 32 * 18) if len(shape) > 1 else (0, prod(shape) * 4)
        infos.append(handmade.info(name, shape, kind, at))
        at += size + -size % 32
    return handmade.gguf(values, infos, bytes(at))


def pytorch() -> Iterator[Files]:
    """What torch itself wrote, and what was written opcode by opcode."""
    folder = _GOLDEN / "golden_pytorch"
    for path in sorted(folder.iterdir()):
        if path.suffix in (".bin", ".pt", ".pth", ".ckpt", ".jit") and path.stat().st_size < _SMALL:
            yield {"pytorch_model.bin": path.read_bytes()}
    for data in (torch_files.archive(), torch_files.legacy()):
        yield {"pytorch_model.bin": data}
    yield {"pytorch_model.bin": torch_files.archive(compression=zipfile.ZIP_DEFLATED)}


def npz() -> Iterator[Files]:
    """Stored and compressed arrays of several types and orders."""
    arrays = {
        "a": np.arange(6, dtype="<f4").reshape(2, 3),
        "b/c": np.asfortranarray(np.arange(6, dtype="<f8").reshape(3, 2)),
        "d": np.arange(3, dtype="u1"),
    }
    for save in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        save(file, **arrays)
        yield {"model.npz": file.getvalue()}


def flax() -> Iterator[Files]:
    """What flax wrote."""
    for path in sorted((_GOLDEN / "golden_flax").glob("*.msgpack")):
        if path.stat().st_size < _SMALL:
            yield {"flax_model.msgpack": path.read_bytes()}
    yield from _renamed("flax/BertModel-bf16", "flax/GPT2LMHeadModel")


def renamed() -> Iterator[Files]:
    """What transformers' TensorFlow classes saved."""
    yield from _renamed("tf/BertModel", "tf/GPT2LMHeadModel")


def google() -> Iterator[Files]:
    """A BERT as Google released it."""
    yield from _renamed("google/BertForPreTraining")


def _renamed(*names: str) -> Iterator[Files]:
    with zipfile.ZipFile(_GOLDEN / "golden_renamed" / "folders.zip") as archive:
        members = archive.namelist()
        for name in names:
            here = [each for each in members if each.startswith(f"{name}/") and not each.endswith(_BESIDE)]
            yield {each.rpartition("/")[2]: archive.read(each) for each in here}


def ggml() -> Iterator[Files]:
    """llama.cpp's files of before GGUF, small ones."""
    for name in ("ggjt2-q5_1.bin", "ggjt3-q4_0.bin"):
        yield {"ggml-model-q4_0.bin": tiny_ggml.written(replace(tiny_ggml.FILES[name], wide=32))}


def bundles() -> Iterator[Files]:
    """TensorFlow's checkpoints: of objects, and in shards."""
    for folder in ("objects", "shards"):
        files = {}
        for path in (TENSORFLOW / folder).iterdir():
            if path.suffix == ".index" or ".data-" in path.name:
                files["model." + path.name.partition(".")[2]] = path.read_bytes()
        yield files


def graphs(name: str) -> Iterator[Files]:
    """TensorFlow's graphs with constants, each as a file called `name`."""
    for path in sorted(TENSORFLOW.rglob("*.pb")):
        if (path.name == "saved_model.pb") == (name == "saved_model.pb"):
            yield {name: path.read_bytes()}


def hdf5() -> Iterator[Files]:
    """What h5py and Keras wrote."""
    for data in _hdf5_files():
        yield {"model.weights.h5": data}


def keras() -> Iterator[Files]:
    """The same in archives as Keras lays them out."""
    for data in _hdf5_files():
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("metadata.json", "{}")
            archive.writestr("model.weights.h5", data)
        yield {"model.keras": file.getvalue()}


def _hdf5_files() -> Iterator[bytes]:
    with zipfile.ZipFile(_GOLDEN / "golden_hdf5" / "files.zip") as archive:
        small = (member for member in archive.infolist() if member.file_size < 24_000)
        yield from map(archive.read, small)


def tflite() -> Iterator[Files]:
    """What TensorFlow Lite's converter wrote."""
    for path in sorted(TENSORFLOW.rglob("*.tflite")):
        yield {"model.tflite": path.read_bytes()}


def onnx() -> Iterator[Files]:
    """A graph with tensors of every kind, some of their data beside it."""
    yield {"m.onnx": test_sources_onnx.seed(), "w.data": bytes(60)}


@cache
def original() -> Files:
    """All files of a model as Meta releases them."""
    with tempfile.TemporaryDirectory() as directory:
        return _files_of(
            tiny_originals.build(tiny_originals.ORIGINALS["Meta-Llama-3-8B-meta"], Path(directory))
        )


def originals() -> Iterator[Files]:
    """What is beside the weights in `original`."""
    yield {name: content for name, content in original().items() if not name.endswith(".pth")}


@cache
def native() -> Files:
    """All files of a model as Mistral releases them."""
    with tempfile.TemporaryDirectory() as directory:
        return _files_of(tiny_natives.build(tiny_natives.NATIVES["Mistral-7B-v0.3-native"], Path(directory)))


def natives() -> Iterator[Files]:
    """What is beside the weights in `native`."""
    yield {name: content for name, content in native().items() if not name.endswith(".safetensors")}


@cache
def adapter() -> Files:
    """All files of an adapter, whose base `write_base` writes."""
    with tempfile.TemporaryDirectory() as directory:
        return _files_of(tiny_adapters.build(tiny_adapters.ADAPTERS["single-precision"], Path(directory)))


def adapters() -> Iterator[Files]:
    """What is beside the weights in `adapter`, and how others are told."""
    yield {"adapter_config.json": adapter()["adapter_config.json"]}
    for each in tiny_adapters.ADAPTERS.values():
        yield {"adapter_config.json": json.dumps({"peft_type": "LORA", "r": 8, **each.config}).encode()}


def write_base(directory: Path) -> None:
    """The model that `adapter` is for."""
    tiny_adapters.build_base(tiny_adapters.ADAPTERS["single-precision"], directory)


def _files_of(folder: Path) -> Files:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def imatrix() -> Iterator[Files]:
    """A matrix of one tensor as a GGUF."""
    values = [
        handmade.string("general.type", "imatrix"), handmade.u32("imatrix.chunk_count", 1),
        handmade.u32("imatrix.chunk_size", 512),
        handmade.pair("imatrix.datasets", 9, struct.pack("<IQ", 8, 1) + handmade.text("text")),
    ]  # fmt: skip
    infos = [handmade.info("t.in_sum2", [4, 2], 0, 0), handmade.info("t.counts", [1, 2], 0, 32)]
    yield {"imatrix.gguf": handmade.gguf(values, infos, struct.pack("<8f2f", *range(8), 3, 4))}


def imatrix_dat() -> Iterator[Files]:
    """The older form."""
    entry = struct.pack("<i", 1) + b"t" + struct.pack("<ii4f", 2, 4, 1, 2, 3, 4)
    yield {"imatrix.dat": struct.pack("<i", 1) + entry}
    yield {"imatrix.dat": struct.pack("<i", 1) + entry + struct.pack("<ii", 7, 4) + b"text"}


def vocabularies(ending: str) -> Iterator[Files]:
    """Made-up tokenizers that have a file whose name ends so; what lies in a directory below is left out."""
    for variant in VOCABULARIES.values():
        if any(name.endswith(ending) for name in variant.files):
            files = {"style": variant.style.encode(), "config.json": json.dumps(variant.full_config).encode()}
            for name, content in variant.files.items():
                if "/" in name:
                    continue
                if isinstance(content, str | bytes):
                    files[name] = content.encode() if isinstance(content, str) else content
                else:
                    files[name] = json.dumps(content).encode()
            if sum(map(len, files.values())) < _SMALL:
                yield files


@cache
def variants() -> Mapping[str, Variant]:
    """Of each architecture of upstream's, the first two variants."""
    found: dict[str, Variant] = {}
    seen: dict[str, int] = {}
    for name, variant in sorted(variants_by_name().items()):
        kind = str(variant.config.get("architectures"))
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= 2:
            found[name] = variant
    return found


def configurations() -> Iterator[Files]:
    """The configurations of the families' variants."""
    for name, variant in variants().items():
        yield {"variant": name.encode(), "config.json": json.dumps(variant.config, indent=1).encode()}


def write_holes(path: Path, variant: Variant) -> None:
    """A file with the header of the variant's weights, whose data are a hole."""
    inventory = load(variant)["inventory"]
    header: dict[str, object] = {}
    at = 0
    for name, shape in inventory.items():
        dtype = variant.dtype_of(name, shape)
        length = _BYTES[dtype] * prod(shape)
        header[name] = handmade.entry(dtype, shape, at, at + length)
        at += length
    content = handmade.safetensors(header)
    path.write_bytes(content)
    with path.open("r+b") as file:
        file.truncate(len(content) + at)
