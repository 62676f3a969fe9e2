"""Whether what a parser does with an input is right: a model, or an error of `translators.errors`, soon.

    fault = judge(parser, data, directory)      # "" where it is; else what is wrong

Time is that of the processor, so that a machine that is busy finds no more; memory is the process's address
space, which `bounded` sets. Knows nothing of how inputs are found.
"""

from __future__ import annotations

import resource
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.fuzz.folders import unpacked, write
from tests.fuzz.parsers import Parser
from translators.errors import TranslationError

SECONDS = 5.0  # of processor time, for some kilobytes of input
MEMORY = 1 << 30  # bytes, beside what the process has already
_SELF = Path(__file__).resolve().parents[2]


class Hang(BaseException):
    """It took too long. No Exception, which a parser might take for one of its own."""


def judge(parser: Parser, data: bytes, directory: Path) -> str:
    """What is wrong with how `parser` takes the input, "" for nothing; `directory` is for its files."""
    write(unpacked(data, parser.names), parser.names, directory)
    try:
        with _limited():
            parser.parse(directory)
    except TranslationError as error:
        return "" if error.reason.strip() else "an error that says nothing"
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return f"{type(error).__name__} at {_place(error)}: {str(error)[:200]}"
    return ""


def kind_of(fault: str) -> str:
    """What two inputs that show the same bug have in common."""
    return fault.partition(": ")[0]


def bounded() -> None:
    """Let this process have no more than `MEMORY` beside what it has."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


@contextmanager
def _limited() -> Iterator[None]:
    def late(number: int, frame: FrameType | None) -> None:
        raise Hang(f"more than {SECONDS:g} s")

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _place(error: BaseException) -> str:
    """The innermost line of the translators; of a hang or want of memory the function that was begun."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "/translators/" in f.filename]
    frames = [frame for frame in frames if "/tests/" not in frame.filename]
    if not frames:
        return "no line of the translators"
    if isinstance(error, Hang | MemoryError | RecursionError):
        frame = frames[min(2, len(frames) - 1)]
        return f"{Path(frame.filename).relative_to(_SELF)}, {frame.name}"
    frame = frames[-1]
    return f"{Path(frame.filename).relative_to(_SELF)}:{frame.lineno}"
