"""`prismfs verify PATH...`: compute forms again; compare with what is kept and, if known, with upstream's.

A job of the daemon does it. A line for each file says what was found; the exit code says whether all is well.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from fsd.cli.client import add_socket, connected, error_of, found
from fsd.cli.following import Job, followed, problem_of, started
from fsd.cli.terminal import print_json, printable, say, tell
from fsd.errors import BadOption, exit_code_of
from fsd.figures import duration, human
from fsd.mount import points


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    about = "a form under a mount, or a directory there: every form that is listed below it"
    parser.add_argument("paths", metavar="PATH", nargs="+", help=about)
    parser.add_argument("--sample", metavar="SHARE", default="1", help="of each file, as 0.1 (default: all)")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON, at the end")
    add_socket(parser)


def run(arguments: argparse.Namespace) -> int:
    """Verify; all paths are one daemon's."""
    sample = _sample(arguments.sample)
    places = [points.resolved(path) for path in arguments.paths]
    sockets = {found(arguments.socket, place) for place in places}
    if len(sockets) > 1:
        raise BadOption("the paths are of several daemons", remedy="verify those of one at a time")
    results: list[dict[str, Any]] = []
    with connected(str(sockets.pop())) as daemon:
        job = started(daemon, "verify", paths=[str(place) for place in places], sample=sample)
        job = followed(daemon, job, lambda job: _tell(job, results, arguments.json))
    if arguments.json:
        print_json(results)
    else:
        took = duration((job["ended"] or 0) - (job["started"] or 0)) if job["started"] else "no time"
        say(f"{human(job['done'])} verified in {took}, {len(results)} file(s)")
    problem = problem_of(job)
    if problem is None and job["state"] == "cancelled":
        problem = error_of("Interrupted", "the job was called off", hint="start it again")
    if problem is None:
        return 0
    tell(problem)
    return exit_code_of(problem)


def _tell(job: Job, results: list[dict[str, Any]], as_json: bool) -> None:
    for line in job["results"][len(results) :]:
        results.append(line)
        if not as_json:
            print(f"{line['state']}\t{line['bytes']}\t{printable(Path(line['path']).as_posix())}", flush=True)


def _sample(text: str) -> float:
    try:
        share = float(text)
        if not 0 < share <= 1:
            raise ValueError("it must be above 0, and 1 at most")
    except ValueError as error:
        raise BadOption(f"--sample cannot be {text!r}: {error}") from None
    return share
