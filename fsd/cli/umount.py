"""`prismfs umount MOUNTPOINT`."""

from __future__ import annotations

import argparse

from fsd.cli.terminal import say
from fsd.mount import points
from fsd.mount.points import MountError


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("mountpoint", metavar="MOUNTPOINT")
    parser.add_argument(
        "--lazy", action="store_true", help="detach a mount that is in use; open files live on until closed"
    )


def run(arguments: argparse.Namespace) -> int:
    """Unmount, dead or alive; while it is busy, try again for two seconds."""
    mountpoint = points.resolved(arguments.mountpoint)
    mount = points.mount_at(mountpoint)
    if mount is None:
        remedy = "`findmnt -t fuse.prismfs` lists the mounts"
        raise MountError("nothing is mounted here", path=str(mountpoint), remedy=remedy)
    if not mount.is_ours:
        remedy = f"umount {mountpoint}"
        raise MountError(f"this is a mount of {mount.file_system}", path=str(mountpoint), remedy=remedy)
    points.unmount(mountpoint, lazy=arguments.lazy or mount.is_dead)
    say(f"unmounted {mountpoint}")
    return 0
