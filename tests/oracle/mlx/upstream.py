"""What MLX and mlx-lm themselves make: runs in their own environment, with nothing of ours but the weights.

    python upstream.py digests CASES.PY                       digests of every case, as JSON
    python upstream.py folders '[[SOURCE, OURS, BITS, GROUP], ...]'    a line of JSON for each

Of a folder: mlx-lm quantises the source as its `convert` does; our folder's tensors are compared with those,
both models are run, and ours is dequantised.
"""

import hashlib
import json
import runpy
import sys
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten, tree_map_with_path
from mlx_lm.utils import dequantize_model, load_model, quantize_model


def digests(path: str) -> None:
    """sha256 of codes, scales, biases and of what they are dequantised to, by type, bits and group."""
    sys.path.append(str(Path(path).parents[3]))
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


def folders(pairs: list[tuple[str, str, int, int]]) -> None:
    """Compare each folder."""
    for source, ours, bits, group in pairs:
        try:
            told = _folder(Path(source), Path(ours), bits, group)
        except Exception as error:
            told = {"error": f"{type(error).__name__}: {error}"[:300]}
        print("ANSWER " + json.dumps({"ours": ours, **told}), flush=True)


def _folder(source: Path, ours: Path, bits: int, group: int) -> dict[str, Any]:
    model, config = load_model(source, lazy=True)
    dtype = config.get("torch_dtype")
    if dtype is not None:
        wanted = getattr(model, "cast_predicate", lambda _: True)

        def typed(name: str, array: mx.array) -> mx.array:
            is_float = wanted(name) and mx.issubdtype(array.dtype, mx.floating)
            return array.astype(getattr(mx, dtype)) if is_float else array

        model.update(tree_map_with_path(typed, model.parameters()))
    model, config = quantize_model(model, config, group, bits)
    expected = dict(tree_flatten(model.parameters()))
    found: dict[str, mx.array] = {}
    for file in sorted(ours.glob("model*.safetensors")):
        found |= mx.load(str(file))
    wrong = sorted(expected.keys() ^ found.keys())
    wrong += [name for name in expected.keys() & found.keys() if not _equal(expected[name], found[name])]
    mine, mine_config = load_model(ours)
    tokens = mx.array([[1, 5, 9, 2, 7]])
    logits = [each(tokens).astype(mx.float32) for each in (model, mine)]
    plain = dict(tree_flatten(dequantize_model(mine).parameters()))
    back = {}
    for name, array in plain.items():
        if ".switch_mlp." in name:
            back |= {f"{name}[{number}]": _digest(array[number]) for number in range(array.shape[0])}
        else:
            back[name] = _digest(array)
    return {
        "tensors": len(expected),
        "wrong": wrong[:8],
        "logits": bool(mx.array_equal(*logits, equal_nan=True)),
        "finite": bool(mx.all(mx.isfinite(logits[0]))),
        "form": mine_config["quantization"] == config["quantization"],
        "back": back,
    }


def _equal(left: mx.array, right: mx.array) -> bool:
    if left.dtype != right.dtype or left.shape != right.shape:
        return False
    return bool(mx.array_equal(left.view(mx.uint8), right.view(mx.uint8)))


def _digest(array: mx.array) -> str:
    return hashlib.sha256(bytes(memoryview(array.view(mx.uint8)))).hexdigest()[:16]


if __name__ == "__main__":
    mx.set_default_device(mx.cpu)
    if sys.argv[1] == "digests":
        digests(sys.argv[2])
    else:
        folders(json.loads(sys.argv[2]))
