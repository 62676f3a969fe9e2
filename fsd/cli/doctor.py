"""`prismfs doctor`: what this machine has and lacks, each with the remedy.

Every check stands alone and looks only; none needs what another one checks. Exit code 1 if one fails; a
warning is something that works, but not for everything.
"""

from __future__ import annotations

import argparse
import ctypes
import errno
import os
import platform
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from ctypes.util import find_library
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

import numpy as np

from fsd.cli.clash import REMEDY, clash
from fsd.cli.terminal import print_json, print_table
from fsd.config import resolve
from fsd.errors import PrismError, hint_of
from fsd.figures import human
from fsd.mount import adapters, points
from translators.dtypes import DTYPES
from translators.errors import TranslationError
from translators.quants import convert, kernels

OK, WARN, FAIL = "ok", "warn", "fail"
FUSE_DEVICE = Path("/dev/fuse")
INSTALL_FUSE = "apt install fuse3"
NEWEST_PYTHON = (3, 15)
# Plans are small; this much room is for a few hundred models with big vocabularies.
PLAN_ROOM = 1 << 30
ANSWER_SECONDS = 2.0


@dataclass(frozen=True)
class Finding:
    """What a check found. `remedy` is "" where nothing needs to be done."""

    check: str
    state: str
    detail: str
    remedy: str = ""


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Check everything."""
    findings = [_checked(name, check) for name, check in CHECKS.items()]
    if arguments.json:
        print_json([asdict(finding) for finding in findings])
    else:
        rows = [(f.state, f.check, f.detail + (f" - {f.remedy}" if f.remedy else "")) for f in findings]
        print_table("", ("", "check", "found"), rows)
    return int(any(finding.state == FAIL for finding in findings))


Found = tuple[str, str] | tuple[str, str, str]


def _checked(name: str, check: Callable[[], Found]) -> Finding:
    try:
        return Finding(name, *check())
    except (OSError, PrismError) as error:
        return Finding(name, FAIL, str(error), hint_of(error))


def _python() -> Found:
    version = platform.python_version()
    if sys.version_info >= NEWEST_PYTHON:
        return WARN, version, "it is newer than what this release was tested with"
    return OK, version


def _packages() -> Found:
    reason = clash()
    return (OK, "no other package hides ours") if reason is None else (FAIL, reason, REMEDY)


def _kernel() -> Found:
    if "fuse" in Path("/proc/filesystems").read_text().split():
        return OK, f"Linux {platform.release()} knows FUSE"
    return FAIL, f"Linux {platform.release()} does not know FUSE", "load it: modprobe fuse"


def _device() -> Found:
    try:
        mode = FUSE_DEVICE.stat().st_mode
        if not stat.S_ISCHR(mode):
            return FAIL, f"{FUSE_DEVICE} is not a device", "rm /dev/fuse && mknod -m 666 /dev/fuse c 10 229"
        os.close(os.open(FUSE_DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        remedy = "modprobe fuse; in a container: --device /dev/fuse --cap-add SYS_ADMIN"
        return FAIL, f"there is no {FUSE_DEVICE}", remedy
    except OSError as error:
        denied = error.errno == errno.EACCES
        remedy = "chmod 666 /dev/fuse" if denied else "in a container: --device /dev/fuse"
        return FAIL, f"{FUSE_DEVICE} cannot be opened: {error.strerror}", remedy
    return OK, f"{FUSE_DEVICE} can be opened"


def _fusermount() -> Found:
    tool = shutil.which("fusermount3")
    if tool is None:
        state = WARN if os.geteuid() == 0 else FAIL
        return state, "there is no fusermount3: users cannot mount, dead mounts stay", INSTALL_FUSE
    if os.geteuid() != 0 and not Path(tool).stat().st_mode & stat.S_ISUID:
        return FAIL, f"{tool} is not setuid root", f"as root: chmod u+s {tool}"
    return OK, tool


def _libfuse() -> Found:
    name = find_library("fuse3")
    if name is None:
        return FAIL, "there is no libfuse 3", INSTALL_FUSE
    return OK, f"{name}, version {ctypes.CDLL(name).fuse_version()}"


def _adapter() -> Found:
    name, reason = adapters.chosen(resolve({}, os.environ).fuse)
    if name == "kernel":
        return OK, "kernel: source files are read at the speed of the disk"
    return OK, f"{name}: all reads pass the daemon" + (f"; no passthrough: {reason}" if reason else "")


def _allow_other() -> Found:
    if os.geteuid() == 0:
        return OK, "root may let others read its mounts"
    if points.others_allowed():
        return OK, f"user_allow_other is set in {points.FUSE_CONFIGURATION}"
    remedy = f"add the line user_allow_other to {points.FUSE_CONFIGURATION}"
    return WARN, "others cannot be let read your mounts", remedy


def _dead_mounts() -> Found:
    dead = [os.fsdecode(mount.point) for mount in points.mounts() if mount.is_ours and not _answers(mount)]
    if dead:
        return WARN, f"no daemon answers at {', '.join(dead)}", f"prismfs umount {dead[0]}"
    return OK, "none"


def _answers(mount: points.Mount) -> bool:
    """Whether a mount answers soon. Another process asks: who asks a stalled one may wait beyond SIGKILL."""
    asking = subprocess.Popen(
        ["stat", "--file-system", "--", mount.point], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        return asking.wait(ANSWER_SECONDS) == 0
    except subprocess.TimeoutExpired:
        asking.kill()
        return False


def _kernels() -> Found:
    kind, plain = DTYPES["Q4_K"], DTYPES["F32"]
    library = f"libggml-python {metadata.version('libggml-python')}"
    wanted = os.environ.get(kernels.VARIABLE, "")
    try:
        made = convert(plain, kind, np.zeros(4 * kind.block, np.uint8), first=0, checked=True)
        back = convert(kind, plain, made, first=0, checked=True)
    except TranslationError as error:
        return FAIL, error.reason, error.remedy
    if made.size != kind.size or back.any():
        return FAIL, "the kernels give wrong results", "pip install --force-reinstall libggml-python"
    if not kernels.builds():
        remedy = "install a C compiler, then prismfs again: the same bytes, several times as fast"
        return WARN, f"our own are not built; {library} does all of it", remedy
    if wanted and wanted != kernels.in_use():
        detail = f"{kernels.VARIABLE} is {wanted}, which this machine cannot run: {kernels.in_use()} is used"
        return WARN, detail, f"set it to {', '.join((*kernels.builds(), kernels.GGML))}, or not at all"
    others = ", ".join(name for name in (*kernels.builds(), kernels.GGML) if name != kernels.in_use())
    return OK, f"{kernels.in_use()} (also here: {others}); {library} for the other types"


def _processors() -> Found:
    usable = len(os.sched_getaffinity(0))
    detail = f"{usable} of {os.cpu_count()} processors are usable"
    return (OK, detail) if usable > 1 else (WARN, detail, "a first read is as fast as there are processors")


def _cache() -> Found:
    directory = resolve({}, os.environ).plan_cache
    existing = next(parent for parent in (directory, *directory.parents) if parent.is_dir())
    free = os.statvfs(existing)
    room = free.f_bavail * free.f_frsize
    detail = f"{directory}: {human(room)} free"
    if not os.access(existing, os.W_OK):
        detail = f"{directory} cannot be written: plans are made anew at each start"
        return WARN, detail, "set PRISMFS_PLAN_CACHE to a directory of your own"
    if room < PLAN_ROOM:
        return WARN, detail, "make room, or set PRISMFS_PLAN_CACHE to another file system"
    return OK, detail


CHECKS: dict[str, Callable[[], Found]] = {
    "python": _python,
    "packages": _packages,
    "kernel": _kernel,
    "device": _device,
    "fusermount3": _fusermount,
    "libfuse": _libfuse,
    "adapter": _adapter,
    "allow_other": _allow_other,
    "dead mounts": _dead_mounts,
    "kernels": _kernels,
    "processors": _processors,
    "cache": _cache,
}
