"""Item 1: the kernel adapter, where the kernel reads a complete file, or a source file, by itself.

Targets: at least 0.9 of a plain file, page cache hot and cold, by calls, by a map and at random; ahead of
rclone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.findings import Findings, at_least
from benchmarks.io.comparison import NATIVE, RCLONE, Compared, Side, compare
from benchmarks.io.rclone import rclone_mounted
from benchmarks.io.setting import Setting
from benchmarks.reading import READERS, sequential

TARGET = "model.gguf-q8_0"
_WANTED = 0.9


def run(setting: Setting, rclone_mode: str) -> Findings:
    """Compare a complete file of the store and a source file with plain files."""
    setting.complete(TARGET)
    source = max(setting.sources, key=lambda path: path.stat().st_size)
    found = Findings()
    rows = found.tables["kernel adapter: complete files"] = []
    with setting.mounted("--fuse", "kernel", keep_cache=True) as daemon:
        mounted = setting.path(daemon, TARGET)
        for _ in range(2):  # verified by the first reading; the second may then have another node
            sequential(mounted)
        with rclone_mounted(setting.plain, setting.work, rclone_mode) as rclone:
            stored = _sides(mounted, tuple(setting.stored()), setting.plain / TARGET, rclone / TARGET)
            for compared in _compared(stored, setting.repeat):
                rows.append(compared.row("store"))
                _judge(found, "store file", compared)
        with rclone_mounted(setting.model, setting.work, rclone_mode) as rclone:
            itself = _sides(setting.path(daemon, source.name), (source,), source, rclone / source.name)
            for compared in _compared(itself, setting.repeat):
                rows.append(compared.row("source"))
                _judge(found, "source file", compared)
        adapter = daemon.status()["adapter"]
    found.notes.append(f"adapter: {adapter}")
    setting.forget()
    return found


def _sides(ours: Path, behind: tuple[Path, ...], plain: Path, rclone: Path) -> tuple[Side, ...]:
    return Side(NATIVE, plain, (plain,)), Side("prismfs", ours, behind), Side(RCLONE, rclone, (plain,))


def _compared(sides: tuple[Side, ...], repeat: int) -> Iterator[Compared]:
    for reader in READERS:
        for state in ("hot", "cold"):
            yield compare(sides, reader, state, repeat)


def _judge(found: Findings, what: str, compared: Compared) -> None:
    name = f"kernel adapter, {what}, {compared.reader.name}, {compared.state}"
    found.targets.append(at_least(f"{name}, of native", compared.ratio("prismfs", NATIVE), _WANTED))
    found.targets.append(at_least(f"{name}, of rclone", compared.ratio("prismfs", RCLONE), 1.0))
