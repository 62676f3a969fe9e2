"""`prismfs warm PATH...`: have the forms at these paths of a mount translated and kept, ahead of their use.

A job of the daemon does it, which Ctrl-C calls off; of a daemon without an API, or with --jobs, the forms are
read instead (reading.py). Both pass over what needs no translation, and what is complete already; the errors
of one file keep no other from being done, and the exit code is the first one's.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fsd.cli.client import Client, NoDaemon, connected, error_of
from fsd.cli.following import Job, followed, problem_of, started
from fsd.cli.mounts import mount_above, socket_of
from fsd.cli.reading import FAILED, Outcome, is_translated, read, say_nothing_to_do
from fsd.cli.terminal import print_json, printable, say, tell
from fsd.config import count
from fsd.errors import BadOption, exit_code_of
from fsd.mount import points


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    about = "a form under a mount, or a directory there: every form that is listed below it"
    parser.add_argument("paths", metavar="PATH", nargs="+", help=about)
    parser.add_argument("--no-wait", action="store_true", help="leave it to the daemon; print the job's id")
    parser.add_argument("--jobs", metavar="N", help="read the files instead, so many at a time")
    parser.add_argument("--json", action="store_true", help="print what was done as JSON, at the end")


def run(arguments: argparse.Namespace) -> int:
    """Have each path's daemon warm it, or read it; tell of each form."""
    at_a_time = _at_a_time(arguments.jobs)
    if arguments.no_wait and arguments.jobs:
        raise BadOption(
            "--jobs reads here and now: there is nothing that --no-wait could leave to the daemon"
        )
    warming = _Warming(arguments.json, arguments.no_wait)
    by_reading: list[str] = []
    for socket, paths in _by_daemon(arguments.paths, read_all=bool(arguments.jobs)).items():
        if socket is None or not warming.by_job(socket, paths):
            by_reading += paths
    if by_reading and arguments.no_wait:
        raise NoDaemon("there is no API to leave it to", path=by_reading[0], remedy="leave out --no-wait")
    if by_reading:
        read(by_reading, at_a_time, warming.errors, warming.tell_of)
    if arguments.json:
        print_json(warming.jobs if arguments.no_wait else [asdict(each) for each in warming.outcomes])
    return exit_code_of(warming.errors[0]) if warming.errors else 0


class _Warming:
    """What has become of the forms so far."""

    def __init__(self, as_json: bool, no_wait: bool) -> None:
        self.outcomes: list[Outcome] = []
        self.errors: list[Exception] = []
        self.jobs: list[Job] = []
        self._as_json = as_json
        self._no_wait = no_wait

    def tell_of(self, outcome: Outcome) -> None:
        """A form is done, or failed."""
        self.outcomes.append(outcome)
        if not self._as_json and outcome.state != FAILED:
            print(f"{outcome.state}\t{outcome.bytes}\t{printable(outcome.path)}", flush=True)

    def by_job(self, socket: Path, paths: Sequence[str]) -> bool:
        """Have the daemon at `socket` warm `paths`; False if it cannot be asked (as another user's)."""
        wanted = [path for path in paths if self._is_wanted(path)]
        try:
            with connected(str(socket)) as daemon:
                if wanted:
                    self._follow(daemon, started(daemon, "warm", paths=_places(wanted)))
        except NoDaemon:
            if self.jobs:
                raise
            return False
        return True

    def _is_wanted(self, path: str) -> bool:
        try:
            if Path(path).is_dir() or is_translated(Path(path)):
                return True
            os.stat(path)
        except OSError as error:
            self._wrong(error)
            return False
        say_nothing_to_do(path)
        return False

    def _follow(self, daemon: Client, job: Job) -> None:
        self.jobs.append(job)
        if self._no_wait:
            if not self._as_json:
                print(job["id"], flush=True)
                say(f"prismfs jobs show {job['id']} tells how far it is")
            return
        told = 0

        def tell_of_new(job: Job) -> None:
            nonlocal told
            for line in job["results"][told:]:
                self.tell_of(Outcome(**{name: line[name] for name in Outcome.__dataclass_fields__}))
                if line["state"] == FAILED:
                    say(printable(line["error"]))
                told += 1

        job = followed(daemon, job, tell_of_new)
        problem = problem_of(job)
        if problem is not None:
            self._wrong(problem)
        elif job["state"] == "cancelled":
            self._wrong(error_of("Interrupted", "the job was called off", hint="start it again"))
        elif not job["results"]:
            for path in job["paths"]:
                say_nothing_to_do(path)

    def _wrong(self, error: Exception) -> None:
        self.errors.append(error)
        tell(error)


def _by_daemon(paths: Sequence[str], *, read_all: bool) -> dict[Path | None, list[str]]:
    """The paths of each daemon's socket; at None those that are to be read."""
    found: dict[Path | None, list[str]] = {}
    for path in paths:
        mount = None if read_all else mount_above(Path(path).absolute())
        socket = socket_of(mount) if mount is not None and _is_text(path) else None
        found.setdefault(socket, []).append(path)
    return found


def _places(paths: Sequence[str]) -> list[str]:
    return [str(points.resolved(path)) for path in paths]


def _is_text(path: str) -> bool:
    """Whether JSON can name it: a name need not be text."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _at_a_time(text: str | None) -> int:
    try:
        return count(text) if text else 1
    except ValueError as error:
        raise BadOption(f"--jobs cannot be {text!r}: {error}") from None
