"""Small files as flax itself writes them, and digests of what it reads from them.

    python tests/translators/golden_flax/regenerate.py     # in an environment with flax 0.12 and ml_dtypes

`digests.json` has, by file and tensor: type, shape, SHA-256 of the bytes that flax restores. `written.json`
has the digest of the file that flax writes of the tensors which the test of the target makes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from flax import serialization, traverse_util

HERE = Path(__file__).resolve().parent
_TYPES = (
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint64", "uint32",
    "uint16", "uint8", "bool", "complex64", "float8_e4m3fn", "float8_e5m2",
)  # fmt: skip


def dtype(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, None) or name)


def tree() -> dict[str, Any]:
    """Every type, odd shapes, and what stands beside arrays in a training state."""
    params: dict[str, Any] = {name: np.arange(6).reshape(2, 3).astype(dtype(name)) for name in _TYPES}
    params["scalar"] = np.array(2.5, np.float32)
    params["empty"] = np.zeros((0, 4), np.float16)
    params["gewicht.ü.重"] = np.arange(300, dtype=np.int16)
    deep = {"layers": {str(number): {"kernel": np.full((5, 7), number, np.float32)} for number in range(20)}}
    rest = {"step": 7, "rate": 0.5, "none": None, "name": "adam", "done": True, "z": 1 + 2j}
    return {"params": {**params, **deep}, "scale": np.float32(3), "optimizer": rest}


def written() -> dict[str, Any]:
    """What tests/translators/test_target_weights_only.py has as well."""
    made: dict[str, Any] = {f"of.{name}": np.zeros((2, 3), dtype(name)) for name in _TYPES}
    made["scalar"] = np.array(2.5, np.float32)
    made["empty"] = np.zeros((0, 4), np.float16)
    made["gewicht.ü.重"] = np.ones(300, dtype("bfloat16"))
    made["deep"] = np.full((1, 2, 3, 4, 7000), 0.5, np.float16)
    for size in (1, 2, 4, 8, 100, 116, 118, 200, 256, 300, 65_530, 65_536):
        made[f"bytes.{size}"] = np.zeros(size, np.uint8)
    made["tree/of/a"], made["tree/b"] = np.zeros(3, np.int8), np.zeros(4, np.int8)
    return made


def main() -> None:
    limit = serialization.MAX_CHUNK_SIZE
    (HERE / "plain.msgpack").write_bytes(serialization.msgpack_serialize(tree()))
    serialization.MAX_CHUNK_SIZE = 64
    (HERE / "chunked.msgpack").write_bytes(serialization.msgpack_serialize(tree()))
    nested = traverse_util.unflatten_dict(written(), sep="/")
    serialization.MAX_CHUNK_SIZE = 4096
    chunked = serialization.msgpack_serialize(nested)
    serialization.MAX_CHUNK_SIZE = limit
    whole = serialization.msgpack_serialize(nested)
    golden = {
        name: [len(data), hashlib.sha256(data).hexdigest()]
        for name, data in (("whole", whole), ("chunked", chunked))
    }
    (HERE / "written.json").write_text(json.dumps(golden, indent=1) + "\n")
    digests = {}
    for name in ("plain.msgpack", "chunked.msgpack"):
        restored = serialization.msgpack_restore((HERE / name).read_bytes())
        leaves = traverse_util.flatten_dict(restored, sep="/")
        digests[name] = {
            key: [value.dtype.name, list(value.shape), hashlib.sha256(value.tobytes()).hexdigest()[:32]]
            for key, value in leaves.items()
            if isinstance(value, np.ndarray | np.generic)
        }
    (HERE / "digests.json").write_text(json.dumps(digests, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
