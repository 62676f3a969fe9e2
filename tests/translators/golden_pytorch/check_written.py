"""That torch reads our own file right, and the digest of the file that it read.

    python -m tests.translators.golden_pytorch.check_written FILE      # in an environment with torch

Loads FILE (`every_type` of test_target_pytorch.py) in every way that torch has, compares each tensor with
what was put in, and writes written.json.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import torch

_FILLED = {"scalar": 2.5, "empty": 0.0, "gewicht.ü.重": 1.0, "deep": 0.5}
_SHAPES = {"scalar": [], "empty": [0, 4], "gewicht.ü.重": [300], "deep": [1, 2, 3, 4, 7000]}


def main(path: Path) -> None:
    """Load, compare, note."""
    for options in ({"weights_only": True}, {"weights_only": True, "mmap": True}, {"weights_only": False}):
        found = torch.load(path, **options)
        assert len(found) == 21, len(found)
        for name, tensor in found.items():
            expected = torch.full(tensor.shape, _FILLED.get(name, 0.0)).to(tensor.dtype)
            assert list(tensor.shape) == _SHAPES.get(name, [2, 3]), name
            assert torch.equal(
                tensor.view(torch.uint8) if tensor.dim() else tensor,
                expected.view(torch.uint8) if tensor.dim() else expected,
            ), name
    assert found["of.F8_E5M2"].dtype == torch.float8_e5m2
    data = path.read_bytes()
    digest = {"torch": torch.__version__, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (Path(__file__).resolve().parent / "written.json").write_text(json.dumps(digest, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
