"""What MLX and mlx-lm themselves make: runs in their own environment, with nothing of ours but `cases`.

python upstream.py digests CASES.PY                       digests of every case, as JSON
python upstream.py folder SOURCE OURS BITS GROUP          our folder against mlx_lm.convert's
"""

import hashlib
import json
import runpy
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlx.core as mx


def digests(path: str) -> None:
    """sha256 of codes, scales, biases and of what they are dequantised to, by type, bits and group."""
    cases = runpy.run_path(path)
    kinds = {"F32": mx.float32, "F16": mx.float16, "BF16": mx.bfloat16}
    made = {}
    for name in cases["TYPES"]:
        weight = mx.array(cases["weights"](name)).astype(kinds[name])
        for bits in cases["BITS"]:
            for group in cases["GROUPS"]:
                parts = mx.quantize(weight, group, bits)
                back = mx.dequantize(*parts, group, bits)
                made[f"{name} {bits} {group}"] = [_digest(part) for part in (*parts, back)]
    print(json.dumps(made, indent=1))


def _digest(array: mx.array) -> str:
    return hashlib.sha256(bytes(memoryview(array.view(mx.uint8)))).hexdigest()[:16]


def folder(source: str, ours: str, bits: int, group: int) -> None:
    """Convert `source`, compare every tensor and the logits; both folders are loaded by mlx-lm."""
    from mlx_lm import convert
    from mlx_lm.utils import load_model

    with tempfile.TemporaryDirectory() as scratch:
        theirs = Path(scratch) / "theirs"
        convert(source, str(theirs), quantize=True, q_group_size=group, q_bits=bits)
        expected, found = _tensors(theirs), _tensors(Path(ours))
        wrong = sorted(expected.keys() ^ found.keys())
        wrong += [name for name in expected.keys() & found.keys() if not _equal(expected[name], found[name])]
        logits = []
        for path in (theirs, Path(ours)):
            model, config = load_model(path)
            logits.append(model(mx.array([[1, 5, 9, 2, 7]])).astype(mx.float32))
        same = bool(mx.array_equal(*logits, equal_nan=True))
    told = {
        "tensors": len(expected),
        "wrong": wrong[:8],
        "logits": same,
        "quantization": config["quantization"],
    }
    print("ANSWER " + json.dumps(told))


def _tensors(path: Path) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for file in sorted(path.glob("model*.safetensors")):
        made |= mx.load(str(file))
    return made


def _equal(left: mx.array, right: mx.array) -> bool:
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    return bool(mx.array_equal(left.view(mx.uint8), right.view(mx.uint8)))


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    if sys.argv[1] == "digests":
        digests(sys.argv[2])
    else:
        folder(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
