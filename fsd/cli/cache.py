"""`prismfs cache ls|gc|clear|verify`: the translated bytes that are kept on disk.

`ls` only looks, also while a daemon uses the store; of a store in use, `clear` asks that daemon. The others
need it for themselves.
"""

from __future__ import annotations

import argparse
import errno
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from fsd.cli.terminal import print_json, print_table, say
from fsd.config import CONFIG_FLAG, CONFIG_HELP, OPTIONS, Options, resolve
from fsd.errors import NoSuchEntry, StoreRefused
from fsd.figures import human
from fsd.store import DiskStore, ListedFile, is_current, listed

COLUMNS = ("file", "layout", ">chunks", ">bytes", ">size", "last used", "pinned")
DAMAGED = 5  # the exit code of `verify` where something was
_ANY = 1 << 62  # bytes: who only looks or clears keeps no limit, for it may not be the daemon's


def configure(parser: argparse.ArgumentParser) -> None:
    """What to do, and the options that say where the store is and how big it may be."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, (about, _) in ACTIONS.items():
        action = actions.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        for option in OPTIONS:
            if option.name in ("cache_dir", "cache_size", "cache_min_free"):
                help = option.help_text.replace("%", "%%")
                action.add_argument(option.flag, metavar=option.metavar, help=help)
        action.add_argument(CONFIG_FLAG, metavar="FILE", help=CONFIG_HELP)
        action.add_argument("--json", action="store_true", help="print what is found or done as JSON")
        if name == "clear":
            action.add_argument("--pinned", action="store_true", help="pinned files too")


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked; the exit code."""
    options = resolve(vars(arguments), os.environ)
    return ACTIONS[arguments.action][1](options, arguments)


def _ls(options: Options, arguments: argparse.Namespace) -> int:
    files = _listed(options.cache_dir)
    held = sum(file.held for file in files)
    if arguments.json:
        directory = str(options.cache_dir)
        print_json({"directory": directory, "bytes": held, "files": [asdict(file) for file in files]})
        return 0
    print_table("", COLUMNS, [_row(file) for file in files])
    say(f"{human(held)} in {len(files)} files under {options.cache_dir}")
    return 0


def _gc(options: Options, arguments: argparse.Namespace) -> int:
    before = sum(file.held for file in _listed(options.cache_dir))
    # Opening a store removes what belongs to nothing, and what is over the limit.
    with _held(options.cache_dir, options.cache_size, options.cache_min_free) as store:
        after, limit = store.figures()["disk_bytes"], store.limit
    freed = max(0, before - after)
    if arguments.json:
        print_json({"freed": freed, "kept": after, "limit": limit})
    else:
        say(f"{human(freed)} freed, {human(after)} kept; the limit is {human(limit)}")
    return 0


def _clear(options: Options, arguments: argparse.Namespace) -> int:
    try:
        with _held(options.cache_dir) as store:
            before = store.figures()["disk_bytes"]
            store.clear(pinned=arguments.pinned)
            after = store.figures()["disk_bytes"]
    except StoreRefused as refusal:
        before, after = _cleared_by_its_daemon(options.cache_dir, arguments.pinned, refusal)
    if arguments.json:
        print_json({"freed": before - after, "kept": after})
    else:
        say(f"{human(before - after)} freed" + (f", {human(after)} pinned" if after else ""))
    return 0


def _cleared_by_its_daemon(directory: Path, pinned: bool, refusal: StoreRefused) -> tuple[int, int]:
    """Have the daemon that holds the store clear it; bytes before and after. Raises `refusal` if none can."""
    from fsd.cli.client import NoDaemon, connected, sockets  # noqa: PLC0415  (imports httpx)

    for socket in sockets():
        try:
            with connected(str(socket)) as daemon:
                cache = daemon.get("/v1/cache")
                if cache["directory"] and Path(cache["directory"]).resolve() == directory.resolve():
                    return cache["bytes"], daemon.post("/v1/cache/clear", pinned=pinned)["bytes"]
        except NoDaemon:
            continue
    raise refusal


def _verify(options: Options, arguments: argparse.Namespace) -> int:
    with _held(options.cache_dir) as store:
        held = store.figures()["disk_bytes"]
        damaged = store.verify()
    if arguments.json:
        chunks = [{"layout": key.identity, "chunk": key.number} for key in damaged]
        print_json({"bytes": held, "damaged": chunks})
        return DAMAGED if damaged else 0
    for key in damaged:
        print(f"{key.identity}\t{key.number}")
    say(f"{human(held)} verified, {len(damaged)} damaged chunks" + (" removed" if damaged else ""))
    return DAMAGED if damaged else 0


ACTIONS: dict[str, tuple[str, Callable[[Options, argparse.Namespace], int]]] = {
    "ls": ("list what is kept, the last used first", _ls),
    "gc": ("remove what is over the limit, and what a crash left behind", _gc),
    "clear": ("remove all that is not pinned", _clear),
    "verify": ("read everything; list what is damaged (layout and chunk), and remove it", _verify),
}


@contextmanager
def _held(directory: Path, limit: int | None = _ANY, floor: int = -_ANY) -> Iterator[DiskStore]:
    """The store, for this process alone. Raises NoSuchEntry, StoreRefused, OSError."""
    _prove_there(directory)
    store = DiskStore(directory, limit, floor)
    try:
        yield store
    finally:
        store.close()


def _listed(directory: Path) -> list[ListedFile]:
    _prove_there(directory)
    try:
        return listed(directory / "index.sqlite")
    except sqlite3.Error as error:
        raise OSError(errno.EIO, f"the index cannot be read: {error}", str(directory)) from None


def _prove_there(directory: Path) -> None:
    if not (directory / "index.sqlite").exists():
        remedy = "it is made by the first mount; --cache-dir names another"
        raise NoSuchEntry("there is no store here", path=str(directory), remedy=remedy)
    if not is_current(directory):
        remedy = "one of an earlier version is begun anew by the next mount; --cache-dir names another"
        raise NoSuchEntry("the store is of another version", path=str(directory), remedy=remedy)


def _row(file: ListedFile) -> tuple[str, ...]:
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(file.seen)) if file.seen else "-"
    pinned = "pinned" if file.pinned else ""
    return file.label or "-", file.identity, str(file.chunks), str(file.held), human(file.held), used, pinned
