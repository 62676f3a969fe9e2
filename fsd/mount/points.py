"""Mount points: what is mounted where, whether a directory can be mounted on, and unmounting.

The kernel's table of mounts is the only record: a daemon that died leaves nothing else behind. A path is
never resolved through its last component, as that of a dead mount answers ENOTCONN to every question.
Knows nothing of how a mount is served.
"""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from fsd.errors import PrismError

FILE_SYSTEM = "fuse.prismfs"
FUSE_CONFIGURATION = Path("/etc/fuse.conf")
BUSY_SECONDS = 2.0
_DEAD = frozenset({errno.ENOTCONN, errno.ECONNABORTED})


class MountError(PrismError):
    """A directory cannot be mounted on, or not be unmounted."""


@dataclass(frozen=True)
class Mount:
    """A line of the kernel's table. `device` is "major:minor", as /sys/class/bdi names it."""

    point: bytes
    device: str
    file_system: str

    @property
    def is_ours(self) -> bool:
        """True for a mount of prismfs."""
        return self.file_system == FILE_SYSTEM

    @property
    def is_dead(self) -> bool:
        """True if no daemon answers any more (statvfs, as the kernel may still have what stat asks for)."""
        try:
            os.statvfs(self.point)
        except OSError as error:
            return error.errno in _DEAD
        return False


def resolved(path: str | os.PathLike[str]) -> Path:
    """The absolute path with the symlinks of its parents followed."""
    absolute = Path(os.path.abspath(path))
    return absolute.parent.resolve() / absolute.name


def mount_at(path: Path) -> Mount | None:
    """The topmost mount at exactly `path` (absolute), or None."""
    found = [mount for mount in mounts() if mount.point == os.fsencode(path)]
    return found[-1] if found else None


def mounts() -> list[Mount]:
    """The table of mounts of this process's namespace (proc_pid_mountinfo(5))."""
    return [_mount(line) for line in Path("/proc/self/mountinfo").read_bytes().splitlines()]


def _mount(line: bytes) -> Mount:
    before, _, after = line.partition(b" - ")
    _, _, device, _, point, *_ = before.split(b" ")
    for octal, character in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        point = point.replace(octal, character)
    return Mount(point, device.decode(), after.split(b" ")[0].decode("utf-8", "backslashreplace"))


def prepare(source: Path, mountpoint: Path) -> bool:
    """Make `mountpoint` ready to be mounted on; True if a dead mount was cleaned up.

    Both are absolute and resolved. A directory that does not exist is made. Raises MountError.
    """
    shown = str(mountpoint)
    if source == mountpoint or source in mountpoint.parents or mountpoint in source.parents:
        reason = f"the mount point and the source {source} lie within each other"
        raise MountError(reason, path=shown, remedy="choose a mount point beside it, as /mnt/models")
    mount = mount_at(mountpoint)
    taken_over = mount is not None and mount.is_ours and mount.is_dead
    if taken_over:
        unmount(mountpoint, lazy=True)
    elif mount is not None and mount.is_ours:
        raise MountError("prismfs is mounted here already", path=shown, remedy=f"prismfs umount {shown}")
    elif mount is not None and mount.is_dead:
        remedy = f"unmount it: fusermount3 -uz {shown}"
        raise MountError(f"a dead mount of {mount.file_system} is here", path=shown, remedy=remedy)
    try:
        mountpoint.mkdir(parents=True, exist_ok=True)
        occupied = next(os.scandir(mountpoint), None) is not None
    except (FileExistsError, NotADirectoryError):
        raise MountError("this is not a directory", path=shown, remedy="choose an empty directory") from None
    except PermissionError:
        remedy = "choose a directory of your own, or create it as root and chown it to you"
        raise MountError("no permission for this directory", path=shown, remedy=remedy) from None
    if occupied:
        raise MountError("the directory is not empty", path=shown, remedy="choose an empty directory")
    return taken_over


def unmount(mountpoint: Path, *, lazy: bool = False, patience: float = BUSY_SECONDS) -> None:
    """Unmount what is at `mountpoint`; while it is busy, try again for `patience` seconds.

    Busy often means that a descriptor was closed a moment ago. With `lazy` a mount that stays busy is
    detached: its name is free at once, and open files live on as long as their daemon. Raises MountError.
    """
    deadline = time.monotonic() + patience
    while (problem := _unmount_once(mountpoint, detach=False)) is not None:
        if mount_at(mountpoint) is None:
            return
        busy = "busy" in problem.lower()
        if busy and time.monotonic() < deadline:
            time.sleep(0.05)
            continue
        if lazy:
            problem = _unmount_once(mountpoint, detach=True)
            if problem is None or mount_at(mountpoint) is None:
                return
        remedy = f"close what is open there, or: prismfs umount --lazy {mountpoint}"
        raise MountError(problem, path=str(mountpoint), remedy=remedy if busy else "try it as root")


def _unmount_once(mountpoint: Path, *, detach: bool) -> str | None:
    """None, or what the tool complained of. Users may unmount their FUSE mounts through fusermount3 only."""
    tool = shutil.which("fusermount3")
    if tool is not None:
        command = [tool, "-u", *(["-z"] if detach else []), "--", str(mountpoint)]
    else:
        command = ["umount", *(["-l"] if detach else []), "--", str(mountpoint)]
    done = subprocess.run(command, capture_output=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode == 0:
        return None
    complaint = done.stderr.decode("utf-8", "backslashreplace").strip()
    return complaint or f"{command[0]} ended with {done.returncode}"


def others_allowed() -> bool:
    """Whether a user who is not root may pass allow_other (fuse.conf(5))."""
    try:
        lines = FUSE_CONFIGURATION.read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(line.split("#")[0].strip() == "user_allow_other" for line in lines)
