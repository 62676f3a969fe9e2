"""`prismfs umount MOUNTPOINT`; or all mounts of a configuration file."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from fsd.cli.terminal import print_json, printable, say
from fsd.config import CONFIG_FLAG, resolve
from fsd.errors import BadOption
from fsd.mount import points
from fsd.mount.points import MountError


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("mountpoint", metavar="MOUNTPOINT", nargs="?")
    parser.add_argument(CONFIG_FLAG, metavar="FILE", help="unmount all mounts of this file")
    parser.add_argument(
        "--lazy", action="store_true", help="detach a mount that is in use; open files live on until closed"
    )
    parser.add_argument(
        "--dead",
        action="store_true",
        help="only what a daemon that is gone left behind; that there is nothing is no error",
    )
    parser.add_argument("--json", action="store_true", help="print what was unmounted as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Unmount, dead or alive; while it is busy, try again for two seconds."""
    unmounted = []
    for mountpoint in _wanted(arguments):
        mount = points.mount_at(mountpoint)
        if arguments.dead and not (mount is not None and mount.is_ours and mount.is_dead):
            continue
        if mount is None:
            remedy = "`findmnt -t fuse.prismfs` lists the mounts"
            raise MountError("nothing is mounted here", path=str(mountpoint), remedy=remedy)
        if not mount.is_ours:
            remedy = f"umount {mountpoint}"
            raise MountError(f"this is a mount of {mount.file_system}", path=str(mountpoint), remedy=remedy)
        dead = mount.is_dead
        points.unmount(mountpoint, lazy=arguments.lazy or dead)
        unmounted.append({"mountpoint": str(mountpoint), "was_dead": dead})
        if not arguments.json:
            say(f"unmounted {printable(str(mountpoint))}")
    if arguments.json:
        print_json({"unmounted": unmounted})
    return 0


def _wanted(arguments: argparse.Namespace) -> list[Path]:
    """The mount point that is named, or those of the file. Raises BadOption."""
    if arguments.mountpoint:
        return [points.resolved(arguments.mountpoint)]
    options = resolve({"config": arguments.config}, os.environ)
    if not options.mounts:
        raise BadOption("there is nothing to unmount", remedy="prismfs umount MOUNTPOINT, or --config FILE")
    return [points.resolved(mount.mountpoint) for mount in options.mounts]
