"""`prismfs jobs [ls|show|cancel]`: a daemon's long work, what waits, runs and has ended; calling it off."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

from fsd.cli.client import Client, add_socket, connected
from fsd.cli.following import OVER, Job
from fsd.cli.terminal import print_json, print_table, say
from fsd.figures import duration, human, share

COLUMNS = ("id", "kind", "state", ">done", ">of", "rate", "started", "what")


def configure(parser: argparse.ArgumentParser) -> None:
    """What to do; listing them, where nothing is said."""
    _add_common(parser)
    parser.set_defaults(action="ls")
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    for name, (about, _) in ACTIONS.items():
        action = actions.add_parser(name, help=about, description=f"{about[0].upper()}{about[1:]}.")
        if name != "ls":
            action.add_argument("ids", metavar="ID", nargs="+", help="a job, as `prismfs jobs` has it")
        _add_common(action, default=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Do what is asked."""
    with connected(arguments.socket) as daemon:
        return ACTIONS[arguments.action or "ls"][1](daemon, arguments)


def _ls(daemon: Client, arguments: argparse.Namespace) -> int:
    jobs = daemon.get("/v1/jobs")
    if arguments.json:
        print_json(jobs)
        return 0
    print_table("", COLUMNS, [row(job) for job in jobs])
    running = sum(job["state"] not in OVER for job in jobs)
    say(
        f"{len(jobs)} jobs, {running} not over"
        + ("; prismfs jobs cancel ID calls one off" if running else "")
    )
    return 0


def _show(daemon: Client, arguments: argparse.Namespace) -> int:
    jobs = [daemon.get(f"/v1/jobs/{id}") for id in arguments.ids]
    if arguments.json:
        print_json(jobs)
        return 0
    for job in jobs:
        _print(job)
    return 0


def _cancel(daemon: Client, arguments: argparse.Namespace) -> int:
    jobs = [daemon.delete(f"/v1/jobs/{id}") for id in arguments.ids]
    if arguments.json:
        print_json(jobs)
        return 0
    for job in jobs:
        print(f"{job['state']}\t{job['id']}")
    return 0


ACTIONS: dict[str, tuple[str, Callable[[Client, argparse.Namespace], int]]] = {
    "ls": ("list the jobs that wait or run, and the last ones that ended", _ls),
    "show": ("tell all that is known of a job", _show),
    "cancel": ("call a job off; what it has translated is kept", _cancel),
}


def row(job: Job) -> tuple[str, ...]:
    """A line of the table."""
    done = share(job["done"], job["total"]) if job["total"] else "-"
    rate = f"{human(job['rate'])}/s" if job["rate"] else "-"
    began = time.strftime("%H:%M:%S", time.localtime(job["started"])) if job["started"] else "-"
    return (
        job["id"],
        job["kind"],
        job["state"],
        done,
        human(job["total"]),
        rate,
        began,
        ", ".join(job["paths"]),
    )


def _print(job: dict[str, Any]) -> None:
    facts = [("job", job["id"]), ("kind", job["kind"]), ("state", job["state"])]
    facts += [("path", path) for path in job["paths"]]
    facts.append(("done", f"{share(job['done'], job['total'])} of {human(job['total'])}"))
    if job["rate"]:
        facts.append(("rate", f"{human(job['rate'])}/s"))
    if job["eta"] is not None:
        facts.append(("left", duration(job["eta"])))
    if job["started"] and job["ended"]:
        facts.append(("took", duration(job["ended"] - job["started"])))
    if job["current"]:
        facts.append(("current", job["current"]))
    if job["problem"]:
        facts.append(("problem", job["problem"]["reason"]))
    for result in job["results"]:
        facts.append(("result", "  ".join(f"{name}={value}" for name, value in result.items())))
    print_table("", ("", ""), facts)


def _add_common(parser: argparse.ArgumentParser, **rest: Any) -> None:
    parser.add_argument("--json", action="store_true", help="print the jobs as JSON", **rest)
    add_socket(parser, **rest)
