"""What `pin`, `unpin` and `evict` have in common: a change to files of a mount, asked of its daemon.

A directory stands for every form that is listed below it. One path's error keeps no other from being done;
the exit code is the first one's. Knows nothing of what the change is.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fsd.cli.client import Client, add_socket, connected, found
from fsd.cli.terminal import print_json, printable, say, tell
from fsd.errors import PrismError, exit_code_of
from fsd.mount import points
from translators.errors import TranslationError

File = Mapping[str, Any]


@dataclass
class Changed:
    """The files as they are now, and what went wrong."""

    files: list[File] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)

    @property
    def code(self) -> int:
        """The verb's exit code."""
        return exit_code_of(self.errors[0]) if self.errors else 0


def configure_paths(parser: argparse.ArgumentParser) -> None:
    """The arguments that they share."""
    about = "a form under a mount, or a directory there: every form that is listed below it"
    parser.add_argument("paths", metavar="PATH", nargs="+", help=about)
    parser.add_argument("--json", action="store_true", help="print the files, as they are now, as JSON")
    add_socket(parser)


def changed(action: str, arguments: argparse.Namespace) -> Changed:
    """Ask for `action` on each path, of the daemon that serves it; errors are told as they come."""
    done = Changed()
    with Daemons(arguments.socket) as daemons:
        for path in arguments.paths:
            place = points.resolved(path)
            try:
                done.files += files_of(daemons.of(place).post(f"/v1/{action}", path=str(place)))
            except (PrismError, TranslationError, OSError) as error:
                done.errors.append(error)
                tell(error)
    return done


def show(done: Changed, word: str, as_json: bool) -> None:
    """The files on stdout, each with `word`: what became of it."""
    if as_json:
        print_json(done.files)
        return
    for file in done.files:
        print(f"{word}\t{file['cached']}\t{printable(file['path'])}")
        if file.get("note"):
            say(f"{printable(file['path'])}: {printable(file['note'])}")


def files_of(answer: Any) -> Sequence[File]:
    """The files of an answer."""
    return list(answer["files"] if isinstance(answer, dict) else answer)


class Daemons:
    """The daemons of several paths: each is connected to once, until the block ends."""

    def __init__(self, socket: str | None) -> None:
        self._socket = socket
        self._clients: dict[Path, Client] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Daemons:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def of(self, path: Path) -> Client:
        """The daemon that serves `path`. Raises NoDaemon, MountError."""
        socket = found(self._socket, path)
        if socket not in self._clients:
            self._clients[socket] = self._stack.enter_context(connected(str(socket)))
        return self._clients[socket]
