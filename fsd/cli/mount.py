"""`prismfs mount SOURCE MOUNTPOINT`: mount, and serve until unmounted, in the foreground or behind it.

With `--config FILE` alone, all mounts of the file, in one daemon.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence

from fsd import logs
from fsd.cli import places
from fsd.cli.terminal import print_json, printable, say, told
from fsd.config import CONFIG_FLAG, CONFIG_HELP, OPTIONS, Options, resolve
from fsd.control import Place
from fsd.daemon import serve
from fsd.mount import background


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments: two paths, and every option of `fsd.config`."""
    parser.add_argument("source", metavar="SOURCE", nargs="?", help="a directory of models, or one model")
    parser.add_argument(
        "mountpoint", metavar="MOUNTPOINT", nargs="?", help="an empty directory; it is made if missing"
    )
    parser.add_argument("--daemon", action="store_true", help="return when the mount answers; log to a file")
    parser.add_argument("--json", action="store_true", help="with --daemon: print what was mounted as JSON")
    parser.add_argument(
        CONFIG_FLAG, metavar="FILE", help=f"{CONFIG_HELP}; SOURCE and MOUNTPOINT replace these"
    )
    for option in OPTIONS:
        help = option.help_text.replace("%", "%%")
        if option.is_switch:
            parser.add_argument(option.flag, action="store_const", const=True, help=help)
        else:
            parser.add_argument(option.flag, metavar=option.metavar, help=help)


def run(arguments: argparse.Namespace) -> int:
    """Mount; in the foreground until it is unmounted or interrupted."""
    options = resolve(vars(arguments), os.environ)
    wanted = places.wanted(arguments.source, arguments.mountpoint, options)
    found = places.prepared(wanted, options)
    where = printable(", ".join(str(place.mountpoint) for place in found))
    if not arguments.daemon:
        return _serve(options, found, lambda: say(f"mounted at {where}; Ctrl-C unmounts"))
    log = background.log_file(found[0].mountpoint)
    started = background.start(lambda ready: _serve(options, found, ready), log, told)
    if started.failure:
        say(started.failure)
        return started.exit_code
    if arguments.json:
        mounts = [{"source": str(place.source), "mountpoint": str(place.mountpoint)} for place in found]
        print_json({"pid": started.pid, "log": str(log), "mounts": mounts})
    else:
        say(f"mounted at {where} (process {started.pid}, log {printable(str(log))})")
    return 0


def _serve(options: Options, found: Sequence[Place], on_ready: Callable[[], None]) -> int:
    logs.set_up(options.log_level, options.log_format)
    return serve(options, found, on_ready)
