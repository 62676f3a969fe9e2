"""A daemon in the background: the command returns when the mount answers, or with the reason why it does not.

The child is a session of its own, with its output in a log file. It reports through a pipe, once: "it is
ready", or a message and an exit code; a child that dies without a word is reported as such.
Knows nothing of what the child does.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from fsd.errors import PrismError, exit_code_of
from fsd.mount.points import MountError
from translators.errors import TranslationError

Body = Callable[[Callable[[], None]], int]


@dataclass(frozen=True)
class Started:
    """How the child began: `failure` is "" once it is ready, else its message."""

    pid: int
    exit_code: int
    failure: str


def log_file(mountpoint: Path) -> Path:
    """Where the daemon of `mountpoint` logs: below XDG_STATE_HOME, one file for each mount point."""
    state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", str(mountpoint)).strip("-") or "root"
    return state / "prismfs" / f"{name}.log"


def start(body: Body, log: Path, told: Callable[[BaseException], str]) -> Started:
    """Run `body(ready)` in a detached child; returns once it has called `ready` or has ended.

    To be called before any thread or process is started. `told` makes a message of an error.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _child(body, output, writer, told)
    os.close(writer)
    os.close(output)
    with os.fdopen(reader, "rb") as pipe:
        report = pipe.read()
    if not report:
        raise MountError("the daemon ended without a word", path=str(log), remedy=f"read its log: {log}")
    code, failure = json.loads(report)
    return Started(pid, code, failure)


def _child(body: Body, output: int, writer: int, told: Callable[[BaseException], str]) -> NoReturn:
    """Never returns into the parent's stack."""
    code, pipe = 1, os.fdopen(writer, "wb", buffering=0)

    def report(exit_code: int, failure: str) -> None:
        if not pipe.closed:
            pipe.write(json.dumps([exit_code, failure]).encode())
            pipe.close()

    try:
        os.setsid()
        with Path(os.devnull).open("rb") as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        code = body(lambda: report(0, ""))
    except BaseException as error:
        code = exit_code_of(error)
        if isinstance(error, PrismError | TranslationError | OSError):
            print(told(error), file=sys.stderr)
        else:
            traceback.print_exc()
        report(code, told(error))
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
