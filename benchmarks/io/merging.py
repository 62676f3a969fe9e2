"""Item 1: the shards merged into model.safetensors, which is never stored: every byte is a source's own.

Target: from a cold disk at least 0.7 of a plain copy, by both adapters; ahead of rclone on the copy.
"""

from __future__ import annotations

from benchmarks.findings import Findings, at_least
from benchmarks.io.comparison import NATIVE, RCLONE, Side, compare
from benchmarks.io.rclone import rclone_mounted
from benchmarks.io.setting import Setting
from benchmarks.reading import SEQUENTIAL, WALK

TARGET = "model.safetensors"
_WANTED = 0.7


def run(setting: Setting, rclone_mode: str) -> Findings:
    """Compare the merged file, by each adapter, with a plain copy of it."""
    setting.complete(TARGET)
    found = Findings()
    rows = found.tables["model.safetensors, merged from shards"] = []
    plain = setting.plain / TARGET
    for adapter in ("mfusepy", "kernel"):
        with (
            setting.mounted("--fuse", adapter) as daemon,
            rclone_mounted(setting.plain, setting.work, rclone_mode) as rclone,
        ):
            sides = (
                Side(NATIVE, plain, (plain,)),
                Side(adapter, setting.path(daemon, TARGET), tuple(setting.sources)),
                Side(RCLONE, rclone / TARGET, (plain,)),
            )
            for reader in (SEQUENTIAL, WALK):
                for state in ("cold", "first"):
                    compared = compare(sides, reader, state, setting.repeat)
                    rows.append(
                        {"adapter": adapter} | {_plainly(k): v for k, v in compared.row(TARGET).items()}
                    )
                    name = f"{adapter}, merged safetensors, {reader.name}, {state}"
                    if state == "cold":
                        of_native = compared.ratio(adapter, NATIVE)
                        found.targets.append(at_least(f"{name}, of native", of_native, _WANTED))
                    found.targets.append(at_least(f"{name}, of rclone", compared.ratio(adapter, RCLONE), 1.0))
    setting.forget()
    return found


def _plainly(column: str) -> str:
    """The column of either adapter."""
    return column.replace("mfusepy", "prismfs").replace("kernel", "prismfs")
