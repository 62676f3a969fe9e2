"""`prismfs umount MOUNTPOINT`."""

from __future__ import annotations

import argparse

from fsd.cli.terminal import print_json, printable, say
from fsd.mount import points
from fsd.mount.points import MountError


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("mountpoint", metavar="MOUNTPOINT")
    parser.add_argument(
        "--lazy", action="store_true", help="detach a mount that is in use; open files live on until closed"
    )
    parser.add_argument("--json", action="store_true", help="print what was unmounted as JSON")


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
    dead = mount.is_dead
    points.unmount(mountpoint, lazy=arguments.lazy or dead)
    if arguments.json:
        print_json({"mountpoint": str(mountpoint), "was_dead": dead})
    else:
        say(f"unmounted {printable(str(mountpoint))}")
    return 0
