"""What h5py and Keras make and read, run in their own environment; nothing of ours is imported.

    python upstream.py make DIRECTORY [--small]     # files of every kind, made by them
    python upstream.py read FILE...                 # a line each: digests of arrays, as h5py reads them
    python upstream.py same FILE NPZ [FILE NPZ...]  # a line each: how two files' arrays differ, "" for not

Digests are of little-endian bytes; a dataset of texts or records has none.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import h5py
import ml_dtypes
import numpy as np

VERSIONS: dict[str, Any] = {
    "old": ("earliest", "v108"),
    "new": ("latest", "latest"),
    "v110": ("v110", "v110"),
}
TYPES = (
    "<f2", "<f4", "<f8", "<i1", "<i2", "<i4", "<i8", "<u1", "<u2", "<u4", "<u8", "?", "<c8",
    ">f2", ">f4", ">f8", ">i2", ">i4", ">i8", ">u2", ">u4", ">u8", ">c8",
)  # fmt: skip


def values(shape: tuple[int, ...], dtype: Any, seed: int) -> np.ndarray:
    """Numbers that every type has, and an archive makes short."""
    numbers = (np.arange(np.prod(shape, dtype=int)) * (2 * seed + 1) % 119).reshape(shape)
    kind = np.dtype(dtype).kind
    numbers = numbers % 2 if kind == "b" else numbers * (1 - 0.5j) if kind == "c" else numbers
    return (numbers / 8 - 5 if kind == "f" else numbers).astype(dtype)


def types(file: h5py.File) -> None:
    """Every type, and what has none."""
    for number, name in enumerate(TYPES):
        file[name.replace("<", "le_").replace(">", "be_")] = values((5, 3), name, number)
    file["bfloat16"] = values((7,), "f4", 50).astype(ml_dtypes.bfloat16)
    file["scalar"] = np.float32(2.5)
    file["scalar big-endian"] = np.array(3, ">i8")
    file["empty"] = np.zeros((0, 4), np.float32)
    file["null"] = h5py.Empty("f4")
    file["text"] = "a text"
    file["texts"] = np.array([b"ab", b"c"])
    file["records"] = np.zeros(3, [("a", "f4"), ("b", "i4")])
    file["reference"] = np.array([file["scalar"].ref], h5py.ref_dtype)
    file["lists"] = h5py.Empty(h5py.vlen_dtype(np.int32))
    file["enum"] = np.array([1, 2], h5py.enum_dtype({"one": 1, "two": 2}, "i2"))
    arrays = file.create_dataset("arrays", (2,), np.dtype(("<f4", (2, 3))))
    arrays[:] = values((2, 2, 3), "f4", 51)
    file["type"] = np.dtype("<f8")
    named = file.create_dataset("of a named type", (4,), file["type"])
    named[:] = values((4,), "f8", 52)


def layouts(file: h5py.File) -> None:
    """Everything in which data may lie."""
    matrix = values((50, 37), "<f4", 1)
    make = file.create_dataset
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    space = h5py.h5s.create_simple((6, 5))
    made = h5py.h5d.create(file.id, b"compact", h5py.h5t.IEEE_F32LE, space, plist)
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(matrix[:6, :5]))
    make("contiguous", data=matrix)
    make("chunks", data=matrix, chunks=(8, 10))
    make("chunks big-endian", data=matrix.astype(">f4"), chunks=(8, 10))
    make("gzip", data=matrix, chunks=(16, 37), compression="gzip")
    make("gzip shuffle", data=matrix, chunks=(7, 9), compression="gzip", shuffle=True)
    make(
        "gzip shuffle checksum",
        data=matrix,
        chunks=(11, 5),
        compression="gzip",
        shuffle=True,
        fletcher32=True,
    )
    make("gzip big-endian", data=matrix.astype(">f8"), chunks=(11, 5), compression="gzip", shuffle=True)
    make("checksum", data=matrix, chunks=(11, 5), fletcher32=True)
    make("shuffle", data=matrix, chunks=(11, 5), shuffle=True)
    make("one chunk", data=matrix, chunks=(50, 37))
    make("one chunk gzip", data=matrix, chunks=(50, 37), compression="gzip")
    make("many chunks", data=values((40, 60), "<i2", 2), chunks=(1, 2))
    make("many chunks gzip", data=values((40, 60), "<i2", 2), chunks=(1, 2), compression="gzip")
    make("vector", data=values((1000,), "<f8", 3), chunks=(64,), compression="gzip")
    make("deep", data=values((4, 5, 6, 7), "<f4", 4), chunks=(3, 2, 4, 7), compression="gzip", shuffle=True)
    make("bounded growth", data=matrix, maxshape=(80, 90), chunks=(8, 10))
    make("bounded growth gzip", data=matrix, maxshape=(80, 90), chunks=(8, 10), compression="gzip")
    make("growing both", data=matrix, maxshape=(None, None), chunks=(8, 10))
    make("growing both gzip", data=matrix, maxshape=(None, None), chunks=(8, 10), compression="gzip")
    part = make("partly written", (30, 30), "<f4", chunks=(7, 7), fillvalue=1.5)
    part[5:9, 20:] = 3
    part = make("partly written gzip", (30, 30), ">i4", chunks=(7, 7), fillvalue=-7, compression="gzip")
    part[12:, :4] = 3
    sparse = make("paged, partly written", (9000,), "<i2", chunks=(1,))
    sparse[4000:4003] = 5
    make("never written", (3, 4), "<f8", fillvalue=2.5)
    make("never written big-endian", (3, 4), ">i4", fillvalue=258)
    make("never written zeros", (3, 4), "<f4")
    make("never written chunks", (3, 4), "<f4", chunks=(2, 2), fillvalue=4)
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((8, 10))
    plist.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    early = h5py.h5d.create(
        file.id, b"early", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple(matrix.shape), plist
    )
    early.write(h5py.h5s.ALL, h5py.h5s.ALL, matrix)
    shrunk = make("shrunk", data=matrix, maxshape=(60, 60), chunks=(8, 10))
    shrunk.resize((20, 35))


def growing(file: h5py.File) -> None:
    """Datasets that grow along one axis."""
    for count in (1, 40, 1500):
        data = values((count, 6), "<f4", count)
        file.create_dataset(f"growing {count}", data=data, maxshape=(None, 6), chunks=(1, 4))
        options = {"compression": "gzip", "shuffle": True}
        file.create_dataset(f"growing gzip {count}", data=data, maxshape=(None, 6), chunks=(1, 4), **options)
    wide = values((6, 40), "<f4", 8)
    file.create_dataset("second axis", data=wide, maxshape=(6, None), chunks=(4, 3))
    file.create_dataset("second axis gzip", data=wide, maxshape=(9, None), chunks=(4, 3), compression="gzip")
    file.create_dataset("never written", (30, 6), "<f4", maxshape=(None, 6), chunks=(1, 4), fillvalue=3)


def paged(file: h5py.File) -> None:
    """One that has grown so long that what tells where its chunks are is in pages."""
    long = file.create_dataset("long", (200_000,), "<i2", maxshape=(None,), chunks=(1,))
    for first in (0, 1000, 70_000, 150_000, 199_990):
        long[first : first + 5] = first % 1000 + 1


def groups(file: h5py.File) -> None:
    """Names, and what leads where."""
    file["a/b/c/d/weight"] = values((3,), "<f4", 1)
    file["a/b/bias"] = values((2,), "<f4", 2)
    for number in range(25):
        file[f"layers/dense_{number}/vars/0"] = np.float32(number)
    file["ü/名"] = np.int8(1)
    file["tied"] = file["a/b/bias"]
    file["soft"] = h5py.SoftLink("/a/b/bias")
    file["dangling"] = h5py.SoftLink("/nowhere")
    file["a/up"] = file["/"]
    file["again"] = file["a/b"]
    file.create_group("nothing")
    file["x" * 1000] = np.int8(2)
    ordered = file.create_group("ordered", track_order=True)
    for name in ("z", "a", "m", *(f"n{number}" for number in range(20))):
        ordered[name] = np.int16(len(name))
    for number in range(30):
        file["a/b/bias"].attrs[f"attribute {number}"] = "text " * number
    file.attrs["texts"] = ["a", "b"]


def many(file: h5py.File, count: int = 10_000) -> None:
    """Many datasets in one group."""
    for number in range(count):
        file[f"model.layers.{number}.self_attn.q_proj.weight"] = np.float32(number)


def user_block(path: Path) -> None:
    """A file behind a block of the user's."""
    with h5py.File(path, "w", userblock_size=2048) as file:
        groups(file)


def models(directory: Path) -> None:
    """What Keras saves."""
    import keras  # noqa: PLC0415

    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    hidden = keras.layers.Conv2D(4, 3)(inputs)
    for _ in range(11):
        hidden = keras.layers.Conv2D(4, 3, padding="same")(hidden)
    hidden = keras.layers.BatchNormalization()(hidden)
    outputs = keras.layers.Dense(5, name="head")(keras.layers.Flatten()(hidden))
    model = keras.Model(inputs, outputs)
    model.compile("adam", loss="mse")
    model.optimizer.build(model.trainable_variables)
    model.save(directory / "keras-legacy.h5")
    model.save(directory / "keras-archive.keras")
    model.save_weights(directory / "keras-plain.weights.h5")
    half = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype="bfloat16")])
    half.save_weights(directory / "keras-bfloat16.weights.h5")


def shards(directory: Path) -> None:
    """What Keras saves in several files."""
    import keras  # noqa: PLC0415

    directory.mkdir(exist_ok=True)
    model = keras.Sequential([keras.Input((4,)), *(keras.layers.Dense(30) for _ in range(12))])
    model.save_weights(directory / "model.weights.json", max_shard_size=6e-6)
    weights = {f"layers/dense{f'_{n // 2}' * (n > 1)}/vars/{n % 2}": w for n, w in enumerate(model.weights)}
    told = {name: digest(np.asarray(weight)) for name, weight in weights.items()}
    (directory / "expected.json").write_text(json.dumps(told))


def make(directory: Path, *, small: bool) -> None:
    """All files, `small` for those that are kept as golden ones."""
    directory.mkdir(parents=True, exist_ok=True)
    kinds = {"types": types, "layouts": layouts, "groups": groups, "growing": growing}
    if not small:
        kinds |= {"many": many, "paged": paged}
    for version, libver in VERSIONS.items():
        for kind, fill in kinds.items():
            if small and (version == "v110" or (version == "old" and kind == "growing")):
                continue
            with h5py.File(directory / f"{kind}-{version}.h5", "w", libver=libver) as file:
                fill(file)
    models(directory)
    if not small:
        user_block(directory / "user-block.h5")
        shards(directory / "shards")


def digest(array: np.ndarray) -> list[Any]:
    """The bytes of an array in little-endian order."""
    array = np.asarray(array)
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("<"))
    data = np.ascontiguousarray(array).tobytes()
    return [hashlib.sha256(data).hexdigest()[:24], array.dtype.str, list(array.shape)]


def arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of a file, by its path: each group once, each dataset under all of its names."""
    source: Any = path
    if path.suffix == ".keras":
        source = io.BytesIO(zipfile.ZipFile(path).read("model.weights.h5"))
    found: dict[str, np.ndarray] = {}
    seen: set[int] = set()

    def walk(group: h5py.Group, prefix: str) -> None:
        seen.add(h5py.h5o.get_info(group.id).addr)
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item = group[name]
            if isinstance(item, h5py.Dataset):
                number = item.dtype.kind in "biufc" or item.dtype.str == "|V2" or item.dtype.subdtype
                if item.shape is not None and number:
                    found[prefix + name] = item[()]
            elif isinstance(item, h5py.Group) and h5py.h5o.get_info(item.id).addr not in seen:
                walk(item, f"{prefix}{name}/")

    with h5py.File(source, "r") as file:
        walk(file, "")
    return found


def same(path: Path, reference: Path) -> str:
    """What differs between an HDF5 file and NumPy's archive of the same arrays, "" for nothing."""
    found = arrays(path)
    with np.load(reference) as expected:
        if set(found) != set(expected.files):
            return f"names: {sorted(set(found) ^ set(expected.files))[:5]}"
        for name in expected.files:
            one, other = np.asarray(found[name]), expected[name]
            if one.dtype != other.dtype or one.shape != other.shape or one.tobytes() != other.tobytes():
                return f"{name}: {one.dtype} {one.shape}, {other.dtype} {other.shape}"
    return ""


def main(arguments: list[str]) -> None:
    command, *rest = arguments
    if command == "make":
        make(Path(rest[0]), small="--small" in rest)
    elif command == "read":
        for name in rest:
            print(json.dumps({each: digest(array) for each, array in arrays(Path(name)).items()}))
    elif command == "same":
        for file, reference in zip(rest[::2], rest[1::2], strict=True):
            print(json.dumps(same(Path(file), Path(reference))))


if __name__ == "__main__":
    main(sys.argv[1:])
