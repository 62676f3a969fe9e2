"""`prismfs mount SOURCE MOUNTPOINT`: build the daemon from its parts, mount, serve until unmounted."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

from fsd.cli.sources import opened_tree
from fsd.cli.terminal import human, printable, say, told
from fsd.config import OPTIONS, Options, resolve
from fsd.engine import ChunkStore, MemoryStore
from fsd.errors import StoreRefused
from fsd.memory import keep_freed
from fsd.mount import adapters, background, lifecycle, points
from fsd.mount.points import MountError
from fsd.store import DiskStore, Tiered


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
    if not arguments.daemon:
        where = printable(str(mountpoint))
        return serve(source, mountpoint, options, lambda: say(f"mounted at {where}; Ctrl-C unmounts"))
    log = background.log_file(mountpoint)
    started = background.start(lambda ready: serve(source, mountpoint, options, ready), log, told)
    if started.failure:
        say(started.failure)
        return started.exit_code
    say(f"mounted at {printable(str(mountpoint))} (process {started.pid}, log {printable(str(log))})")
    return 0


def serve(source: Path, mountpoint: Path, options: Options, on_ready: Callable[[], None]) -> int:
    """The daemon: returns when the mount is gone."""
    form = "%(asctime)s %(levelname)s %(message)s"
    keep_freed()
    logging.basicConfig(level=options.log_level.upper(), format=form, stream=sys.stderr)
    logging.info("%s serves %s at %s", f"prismfs {version('prismfs')}", source, mountpoint)
    excluded = (str(mountpoint),)
    with opened_store(options) as store, opened_tree(str(source), options, excluded, store) as tree:
        # Root's mounts are for everybody, as any other file system that root mounts.
        others = options.allow_other or os.geteuid() == 0
        name, reason = adapters.chosen(options.fuse)
        logging.info("adapter: %s%s", name, f" ({reason})" if reason else "")
        adapter = adapters.made(name, tree)
        tree.tell("adapter", lambda: {"name": name} | adapter.counters())
        ended = lifecycle.run(adapter, mountpoint, allow_other=others, on_ready=on_ready)
    logging.info("unmounted %s", mountpoint)
    if not ended:
        logging.warning("a read is still computed; leaving it")
        logging.shutdown()
        os._exit(0)
    return 0


@contextmanager
def opened_store(options: Options) -> Iterator[ChunkStore]:
    """Where the daemon keeps translated bytes: on disk too, if that can be had.

    The usual place may be another daemon's: then in memory alone. One that was named raises StoreRefused.
    """
    memory = MemoryStore(options.cache_memory)
    if options.no_cache:
        yield memory
        return
    try:
        disk = DiskStore(options.cache_dir, options.cache_size, options.cache_min_free)
    except (OSError, StoreRefused) as error:
        if isinstance(error, StoreRefused) and options.cache_dir != resolve({}, {}).cache_dir:
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        logging.warning("%s: translated bytes are kept in memory alone: %s", options.cache_dir, reason)
        yield memory
        return
    logging.info("translated bytes are kept in %s, at most %s", options.cache_dir, human(disk.limit))
    try:
        yield Tiered(memory, disk)
    finally:
        disk.close()
