"""rclone's mount of a directory of plain files: what a mount written in Go makes of the same bytes.

Read-only, with long-lived metadata, by default without a cache of its own (the files are on a local disk,
where `--vfs-cache-mode full` only copies them once more).
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def rclone_mounted(source: Path, work: Path, mode: str) -> Iterator[Path]:
    """The mount point of an rclone mount of `source`; `mode` is its --vfs-cache-mode."""
    mount = work / "rclone"
    mount.mkdir(exist_ok=True)
    command = [
        "rclone", "mount", str(source), str(mount), "--config", os.devnull, "--read-only",
        "--vfs-cache-mode", mode, "--cache-dir", str(work / "rclone-cache"),
        "--dir-cache-time", "1h", "--attr-timeout", "1h", "--poll-interval", "0",
    ]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    try:
        while not os.path.ismount(mount):
            if process.poll() is not None:
                assert process.stderr is not None
                raise RuntimeError(f"rclone mount ended: {process.stderr.read().decode()}")
            time.sleep(0.01)
        yield mount
    finally:
        subprocess.run(["fusermount3", "-uz", str(mount)], check=False, capture_output=True)
        process.terminate()
        process.wait(30)
        subprocess.run(["rm", "-rf", str(work / "rclone-cache")], check=True)
