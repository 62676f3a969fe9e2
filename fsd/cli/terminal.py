"""What a person sees: messages and progress on stderr, sizes, tables, names that cannot be printed.

A table is rich's on a terminal, and columns with tabs between them in a pipe. Whatever comes from a file's
name or content is escaped first: it may hold control characters.
Knows nothing of models.
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from fsd.errors import hint_of

# To be called with the count of each run of bytes that is done.
Progress = Callable[[int], object]


def say(message: str) -> None:
    """A message for the person at the terminal."""
    print(f"prismfs: {message}", file=sys.stderr, flush=True)


def tell(error: BaseException) -> None:
    """What went wrong, and what to do about it."""
    say(told(error))


def told(error: BaseException) -> str:
    """The error and, in a line of its own, what to do about it."""
    return f"{sentence(error)}\n  try: {printable(hint_of(error))}"


def sentence(error: BaseException) -> str:
    """The error in one line, without its remedy."""
    if isinstance(error, OSError):
        where, reason = error.filename, error.strerror or str(error)
        return printable(f"{_text(where)}: {reason}" if where is not None else reason)
    places = (getattr(error, "path", ""), getattr(error, "place", ""), getattr(error, "reason", str(error)))
    return printable(": ".join(place for place in places if place))


def printable(text: str) -> str:
    """`text` on one line, with control characters and bytes that are not UTF-8 as escapes."""
    return "".join(c if c.isprintable() else _escaped(c) for c in text)


@contextmanager
def progress(what: str, size: int) -> Iterator[Progress]:
    """A bar on stderr, if that is a terminal: bytes, rate and time left. To be told of each run of bytes."""
    lock, done = threading.Lock(), 0
    with advancing(what, size) as advance:

        def add(count: int) -> None:
            nonlocal done
            with lock:
                done += count
                advance(done, size)

        yield add


@contextmanager
def advancing(what: str, size: int = 0) -> Iterator[Callable[[int, int], bool]]:
    """As `progress`; to be told how many bytes are done, of how many. False where there is no bar."""
    if not sys.stderr.isatty():
        yield lambda done, size: False
        return
    from rich import console, progress  # noqa: PLC0415  (a tenth of a second, only for terminals)

    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        progress.DownloadColumn(binary_units=True),
        progress.TransferSpeedColumn(),
        progress.TimeRemainingColumn(),
    )
    # rich would have all that is printed go where the bar is: right only where that is one terminal.
    shared = sys.stdout.isatty()
    errors = console.Console(stderr=True)
    with progress.Progress(*columns, console=errors, transient=True, redirect_stdout=shared) as bar:
        task = bar.add_task(printable(what), total=size)

        def advance(done: int, size: int) -> bool:
            bar.update(task, completed=done, total=size)
            return True

        yield advance


def print_json(data: object) -> None:
    """Data for a program. Bytes of names that are not UTF-8 are lone surrogates, as `json` escapes them."""
    print(json.dumps(data, indent=2))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; a column whose heading starts with ">" is set to the right."""
    escaped = [[printable(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        if title:
            print(printable(title))
        for row in escaped:
            print("\t".join(row))
        return
    from rich.console import Console  # noqa: PLC0415  (a tenth of a second, only for terminals)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    heading = Text(printable(title)) if title else None
    table = Table(title=heading, title_justify="left", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left")
    for row in escaped:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)


def _text(name: str | bytes | int) -> str:
    return name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else str(name)


def _escaped(character: str) -> str:
    if "\udc80" <= character <= "\udcff":  # a byte that surrogateescape kept
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
