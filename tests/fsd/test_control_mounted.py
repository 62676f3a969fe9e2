"""What control found out, in a mount: digests as a file that sha256sum reads, and as attributes."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.fsd.controlled import controlled
from tests.fsd.mounting import ADAPTERS, mounting, running
from tests.tiny_models import build
from tests.tiny_variants import MODELS

NAME = "Biased-llama-1.5b"
FILES = (f"{NAME}/model.gguf-q4_0", f"{NAME}/model.gguf-q8_0")


@pytest.mark.parametrize("fuse", ADAPTERS)
def test_digests_are_in_the_mount(tmp_path: Path, fuse: str) -> None:
    source, mountpoint = tmp_path / "models", tmp_path / "mnt"
    build(MODELS[NAME], source)
    with controlled(tmp_path, source) as over:
        digests = [over.warmed(path).sha256 for path in FILES]
    kept = ["--cache-dir", str(tmp_path / "store"), "--plan-cache", str(tmp_path / "plans")]
    command = [*mounting(source, mountpoint, fuse), *kept, "--api-socket", "none"]
    with running(command, source, mountpoint, tmp_path / "home"):
        sums = mountpoint / ".prismfs" / "SHA256SUMS"
        lines = [f"{digest}  {path}" for digest, path in zip(digests, FILES, strict=True)]
        assert sums.read_text().splitlines() == lines
        assert sums.stat().st_size == sum(len(line) + 1 for line in lines)
        checked = subprocess.run(
            ["sha256sum", "--check", "--strict", sums], cwd=mountpoint, capture_output=True, text=True,
            check=False, timeout=60,
        )  # fmt: skip
        assert (checked.returncode, checked.stdout.splitlines()) == (0, [f"{path}: OK" for path in FILES])
        for path, digest in zip(FILES, digests, strict=True):
            assert os.getxattr(mountpoint / path, "user.prismfs.sha256").decode() == digest
        with pytest.raises(OSError):
            os.getxattr(mountpoint / NAME / "model.gguf-f16", "user.prismfs.sha256")
