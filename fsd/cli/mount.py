"""`prismfs mount SOURCE MOUNTPOINT`: mount, and serve until unmounted, in the foreground or behind it."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fsd.cli.terminal import printable, say, told
from fsd.config import OPTIONS, Options, resolve
from fsd.control import Place
from fsd.daemon import serve
from fsd.mount import background, points
from fsd.mount.points import MountError


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments: two paths, and every option of `fsd.config`."""
    parser.add_argument("source", metavar="SOURCE", help="a directory of models, or one model")
    parser.add_argument("mountpoint", metavar="MOUNTPOINT", help="an empty directory; it is made if missing")
    parser.add_argument("--daemon", action="store_true", help="return when the mount answers; log to a file")
    for option in OPTIONS:
        help = f"{option.help} [{option.variable}]".replace("%", "%%")
        if option.is_switch:
            parser.add_argument(option.flag, action="store_const", const=True, help=help)
        else:
            help = f"{help} (default: {option.default_text})".replace("%", "%%")
            parser.add_argument(option.flag, metavar=option.metavar, help=help)


def run(arguments: argparse.Namespace) -> int:
    """Mount; in the foreground until it is unmounted or interrupted."""
    options = resolve(vars(arguments), os.environ)
    source = Path(arguments.source).absolute()
    mountpoint = points.resolved(arguments.mountpoint)
    # An unreadable source is told now, not by an empty mount.
    with os.scandir(source) if source.is_dir() else source.open("rb"):
        pass
    if options.allow_other and os.geteuid() != 0 and not points.others_allowed():
        remedy = f"add the line user_allow_other to {points.FUSE_CONFIGURATION}"
        raise MountError("others cannot be let read this mount", path=str(mountpoint), remedy=remedy)
    if points.prepare(source.resolve(strict=True), mountpoint):
        say(f"took over {printable(str(mountpoint))} from a daemon that had died")
    places = [Place(source, mountpoint)]
    if not arguments.daemon:
        where = printable(str(mountpoint))
        return _serve(options, places, lambda: say(f"mounted at {where}; Ctrl-C unmounts"))
    log = background.log_file(mountpoint)
    started = background.start(lambda ready: _serve(options, places, ready), log, told)
    if started.failure:
        say(started.failure)
        return started.exit_code
    say(f"mounted at {printable(str(mountpoint))} (process {started.pid}, log {printable(str(log))})")
    return 0


def _serve(options: Options, places: Sequence[Place], on_ready: Callable[[], None]) -> int:
    form = "%(asctime)s %(levelname)s %(message)s"
    logging.basicConfig(level=options.log_level.upper(), format=form, stream=sys.stderr)
    return serve(options, places, on_ready)
