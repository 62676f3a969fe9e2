"""Item 1: mfusepy, which the kernel asks for pages that it does not have.

Targets: a second reading asks the daemon nothing; a first reading of a file that is complete in the store, by
a daemon that has just started and has to verify it, makes 2 GB/s or 0.8 of a plain file on a cold disk,
whichever is lower; both ahead of rclone. How fast the page cache then is, is the kernel's affair: the ratio
to ext4 is told, and is no target.
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median

from benchmarks.daemon import Daemon
from benchmarks.findings import Findings, Row, at_least, at_most
from benchmarks.io.comparison import NATIVE, RCLONE, Side, compare
from benchmarks.io.rclone import rclone_mounted
from benchmarks.io.setting import Setting
from benchmarks.reading import READERS, SEQUENTIAL, WALK, Reader

TARGET = "model.gguf-q8_0"
_FIRST, _OF_COLD = 2000.0, 0.8


def run(setting: Setting, rclone_mode: str) -> Findings:
    """Second readings in one daemon, then first readings, each in a daemon of its own."""
    setting.complete(TARGET)
    found = Findings()
    _second(setting, rclone_mode, found)
    _first(setting, rclone_mode, found)
    setting.forget()
    return found


def _second(setting: Setting, rclone_mode: str, found: Findings) -> None:
    rows = found.tables["mfusepy: second readings of a complete file"] = []
    plain = setting.plain / TARGET
    with (
        setting.mounted("--fuse", "mfusepy", keep_cache=True) as daemon,
        rclone_mounted(setting.plain, setting.work, rclone_mode) as rclone,
    ):
        ours = Side("prismfs", setting.path(daemon, TARGET), tuple(setting.stored()))
        sides = (Side(NATIVE, plain, (plain,)), ours, Side(RCLONE, rclone / TARGET, (plain,)))
        for reader in READERS:
            compared = compare(sides, reader, "hot", setting.repeat)
            rows.append(compared.row("store"))
            name = f"mfusepy, second {reader.name}"
            found.targets.append(at_least(f"{name}, of rclone", compared.ratio("prismfs", RCLONE), 1.0))
        asked = min(_asked(daemon, ours) for _ in range(3))
        found.targets.append(at_most("mfusepy, requests of a second reading that reach the daemon", asked, 0))


def _asked(daemon: Daemon, side: Side) -> int:
    """Requests that reach the daemon while a hot file is read, those for its status apart."""
    side.bring("hot")
    one, two = daemon.requests(), daemon.requests()
    SEQUENTIAL.rate(side.path, False)
    return daemon.requests() - two - (two - one)


def _first(setting: Setting, rclone_mode: str, found: Findings) -> None:
    rows = found.tables["mfusepy: first readings of a complete file"] = []
    for reader in (SEQUENTIAL, WALK):
        wanted = _FIRST
        for state in ("cold", "first"):
            samples = [_sample(setting, rclone_mode, reader, state) for _ in range(setting.repeat)]
            rates = {side: median(sample[side] for sample in samples) for side in samples[0]}
            if state == "cold":
                wanted = min(_FIRST, _OF_COLD * rates[NATIVE])
            pages = "cold" if state == "cold" else "hot"
            row: Row = {"reading": reader.name, "store's pages": pages, "unit": reader.unit}
            rows.append(row | rates)
            name = f"mfusepy, first {reader.name}, store's pages {pages}"
            found.targets.append(at_least(name, rates["prismfs"], wanted, " MB/s"))
            found.targets.append(at_least(f"{name}, of rclone", rates["prismfs"] / rates[RCLONE], 1.0))


def _sample(setting: Setting, rclone_mode: str, reader: Reader, state: str) -> dict[str, float]:
    plain = setting.plain / TARGET
    rates = {NATIVE: _rate(Side(NATIVE, plain, (plain,)), reader, state)}
    with setting.mounted("--fuse", "mfusepy", keep_cache=True) as daemon:
        ours = Side("prismfs", _planned(setting.path(daemon, TARGET)), tuple(setting.stored()))
        rates["prismfs"] = _rate(ours, reader, state)
    with rclone_mounted(setting.plain, setting.work, rclone_mode) as rclone:
        rates[RCLONE] = _rate(Side(RCLONE, rclone / TARGET, (plain,)), reader, state)
    return rates


def _rate(side: Side, reader: Reader, state: str) -> float:
    side.bring(state)
    return reader.rate(side.path, state == "cold")


def _planned(path: Path) -> Path:
    """Open and close it: planning a model that was never seen is no part of reading."""
    os.close(os.open(path, os.O_RDONLY))
    return path
