"""What is to be mounted where: from the command line or a configuration file, each place looked at first.

Nothing is mounted here, but a missing mount point is made, and a dead mount of ours is cleaned up.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from fsd.cli.terminal import printable, say
from fsd.config import Options, WantedMount
from fsd.control import Place
from fsd.errors import BadOption
from fsd.mount import points
from fsd.mount.points import MountError


def wanted(source: str | None, mountpoint: str | None, options: Options) -> list[WantedMount]:
    """The two paths of the command line, or else the mounts of the file. Raises BadOption without any."""
    if source and mountpoint:
        return [WantedMount(Path(source).absolute(), Path(mountpoint))]
    if source:
        raise BadOption("a SOURCE needs a MOUNTPOINT", remedy=f"prismfs mount {source} /mnt/models")
    if not options.mounts:
        remedy = "prismfs mount SOURCE MOUNTPOINT, or --config FILE with [[mount]] in it"
        raise BadOption("there is nothing to mount", remedy=remedy)
    return list(options.mounts)


def prepared(mounts: Sequence[WantedMount], options: Options) -> list[Place]:
    """Places that can be mounted on. Raises MountError, OSError.

    Every source, and whether two mounts are in each other's way, is looked at before anything is made.
    """
    places = [Place(mount.source, points.resolved(mount.mountpoint)) for mount in mounts]
    for place in places:  # an unreadable source is told now, not by an empty mount
        prove_readable(place.source)
    if clash := in_each_others_way(places):
        raise clash
    if options.allow_other and os.geteuid() != 0 and not points.others_allowed():
        remedy = f"add the line user_allow_other to {points.FUSE_CONFIGURATION}"
        path = str(places[0].mountpoint)
        raise MountError("others cannot be let read this mount", path=path, remedy=remedy)
    for place in places:
        if points.prepare(place.source.resolve(strict=True), place.mountpoint):
            say(f"took over {printable(str(place.mountpoint))} from a daemon that had died")
    return places


def prove_readable(source: Path) -> None:
    """Raises OSError if a source cannot be opened."""
    with os.scandir(source) if source.is_dir() else source.open("rb"):
        pass


def in_each_others_way(places: Sequence[Place]) -> MountError | None:
    """Why two mounts cannot be of one daemon: a mount point lies where the other has one, or its source.

    A mount point would be made within a source, or a daemon would have to ask itself for what it is to show.
    """
    for one, other in itertools.permutations(places, 2):
        for path in (other.mountpoint, other.source.resolve()):
            if one.mountpoint == path or one.mountpoint in path.parents or path in one.mountpoint.parents:
                reason = f"the mount point and {path}, of another mount, lie within each other"
                remedy = "give each mount a place of its own, as /mnt/models and /mnt/more"
                return MountError(reason, path=str(one.mountpoint), remedy=remedy)
    return None
