"""Golden digests of GGUFs in splits: what llama-gguf-split makes of the whole files.

    python -m tests.oracle.splits     # writes splits.json; needs what environment.sh builds

The whole files are prismfs' own, which other digests compare with upstream's. llama-gguf-split takes whole
megabytes, so that the tiny model here is larger than others.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from hashlib import sha256
from pathlib import Path

from tests.oracle.goldens import REAL
from tests.oracle.regenerate import ORACLE
from tests.real_weights import smollm2
from tests.tiny_models import TinyModel, build
from tests.tiny_variants import MODELS
from translators import Plan, open_model, plans

GOLDEN = Path(__file__).resolve().parent / "splits.json"
_BASE = MODELS["Tiny-Llama-3-8B-Instruct-v0.2"]
TINY = TinyModel("Split-7M", {**_BASE.config, "num_hidden_layers": 8}, files=_BASE.files)
# By the model: types and sizes in megabytes.
ASKED = {
    TINY.name: (("bf16", 1), ("bf16", 3), ("q8_0", 1), ("q4_k_m", 1), ("f32", 4), ("q4_k_m", 900)),
    REAL: (("q4_1", 33), ("q4_1", 49), ("q8_0", 40), ("q4_k_m", 50)),
}


def source_of(name: str, work: Path) -> Path:
    """The directory of a model of `ASKED`, made in `work`."""
    if name == TINY.name:
        return build(TINY, work)
    folder = work / name
    folder.mkdir()
    weights = smollm2()
    (folder / weights.name).symlink_to(weights)
    return folder


def _golden(name: str, work: Path) -> dict[str, list[tuple[int, str]]]:
    tool = ORACLE / "quantize" / "llama-gguf-split"
    found = plans(open_model(source_of(name, work)))
    golden = {}
    for kind, megabytes in ASKED[name]:
        plan, whole = found[f"model.gguf-{kind}"], work / "whole.gguf"
        assert isinstance(plan, Plan)
        layout = plan.layout()
        whole.write_bytes(layout.read(0, layout.size))
        made = work / f"{kind}-{megabytes}"
        made.mkdir()
        command = [tool, "--split-max-size", f"{megabytes}M", whole, made / "x"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        files = [path.read_bytes() for path in sorted(made.iterdir())]
        golden[f"{kind} {megabytes}"] = [(len(data), sha256(data).hexdigest()) for data in files]
    return golden


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as directory:
        goldens = {name: _golden(name, Path(directory)) for name in ASKED}
    GOLDEN.write_text(json.dumps(goldens, indent=1) + "\n")
