"""convert_llama_ggml_to_gguf.py with the shapes of its tensors right.

    python legacy_upstream.py TREE ARGUMENTS...      # in upstream's environment

Since gguf-py takes the shape of raw bytes for one in bytes, upstream's script (b11434) writes float tensors
with rows of a half or a quarter of their length, and fails at quantised ones. Here the writer is told bytes.
"""

import runpy
import sys
from pathlib import Path

tree = Path(sys.argv[1])
sys.path.insert(0, str(tree / "gguf-py"))

import gguf  # noqa: E402
import gguf.quants  # noqa: E402

_add_tensor = gguf.GGUFWriter.add_tensor


def _in_bytes(self, name, tensor, raw_shape, raw_dtype):  # type: ignore[no-untyped-def]
    shape = gguf.quants.quant_shape_to_byte_shape(raw_shape, raw_dtype)
    _add_tensor(self, name, tensor, raw_shape=shape, raw_dtype=raw_dtype)


gguf.GGUFWriter.add_tensor = _in_bytes
sys.argv = sys.argv[1:]
runpy.run_path(str(tree / "convert_llama_ggml_to_gguf.py"), run_name="__main__")
