"""`prismfs status [PATH]`: the daemon at a glance: its mounts, adapter, cache and jobs.

Asks the daemon over its API; of one without an API, what its mounts tell in `.prismfs/status.json`, which is
less. Exit code 1 where a mount does not answer.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fsd.cli.client import Client, NoDaemon, add_socket, connected
from fsd.cli.following import OVER
from fsd.cli.mounts import mount_above, own_mounts, status_soon
from fsd.cli.terminal import print_json, print_table, say
from fsd.figures import duration, human, share

Rows = Iterator[tuple[str, str]]
JOBS_SHOWN = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    about = "a path in a mount: of its daemon (default: the daemon there is)"
    parser.add_argument("path", metavar="PATH", nargs="?", help=about)
    parser.add_argument("--json", action="store_true", help="print what is told as JSON")
    add_socket(parser)


def run(arguments: argparse.Namespace) -> int:
    """Tell of the daemon over its API, or of mounts by what they show."""
    path = Path(arguments.path) if arguments.path is not None else None
    try:
        with connected(arguments.socket, path) as daemon:
            return _of_daemon(daemon, arguments.json)
    except NoDaemon:
        if arguments.socket:
            raise
        mounts = [mount for mount in [mount_above(path.absolute())] if mount] if path else own_mounts()
        if not mounts:
            raise
    return _of_mounts(mounts, arguments.json)


def _of_daemon(daemon: Client, as_json: bool) -> int:
    status, cache, jobs, models = (
        daemon.get(f"/v1/{name}") for name in ("status", "cache", "jobs", "models")
    )
    for mount in status["mounts"]:  # the daemon's own figure has those alone that were looked at
        mount["models"] = sum(model["mountpoint"] == mount["mountpoint"] for model in models)
    code = 0 if status["ready"] else 1
    if as_json:
        print_json({"socket": str(daemon.socket), "status": status, "cache": cache, "jobs": jobs})
        return code
    print_table("", ("", ""), list(_rows(daemon, status, cache, jobs)))
    if not status["ready"]:
        say("a mount does not answer; the daemon's log says more")
    elif not cache["bytes"] and status["mounts"]:
        say(f"nothing is kept yet; see what there is: prismfs ls {status['mounts'][0]['mountpoint']}")
    return code


def _rows(
    daemon: Client, status: Mapping[str, Any], cache: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]]
) -> Rows:
    ready = "ready" if status["ready"] else "not ready"
    yield (
        "daemon",
        f"prismfs {status['version']}, {ready}, up {duration(status['uptime'])}, process {status['pid']}",
    )
    yield "api", str(daemon.socket)
    for mount in status["mounts"]:
        serving = "" if mount["serving"] else ", does not answer"
        models = _counted(mount["models"], "model")
        yield (
            "mount",
            f"{mount['mountpoint']}: {models} of {mount['source']}, {mount['adapter']} adapter{serving}",
        )
    where = cache["directory"] or "memory alone"
    pinned = sum(bool(file["pinned"]) for file in cache["files"])
    held = f"{human(cache['bytes'])} of {human(cache['limit'])} ({share(cache['bytes'], cache['limit'])})"
    yield "cache", f"{held} in {where}: {_counted(len(cache['files']), 'file')}, {pinned} pinned"
    yield "reads", _engine(status["engine"])
    waiting = [job for job in jobs if job["state"] not in OVER]
    yield "jobs", f"{len(waiting)} not over, {len(jobs) - len(waiting)} ended"
    for job in waiting[:JOBS_SHOWN]:
        rate = f", {human(job['rate'])}/s" if job["rate"] else ""
        left = f", {duration(job['eta'])} left" if job["eta"] is not None else ""
        done = f"{share(job['done'], job['total'])}{rate}{left}"
        yield f"job {job['id']}", f"{job['kind']} {', '.join(job['paths'])}: {job['state']}, {done}"


def _engine(engine: Mapping[str, float]) -> str:
    served, read = human(engine.get("bytes_served", 0)), human(engine.get("source_bytes", 0))
    chunks = f"{engine.get('translated', 0):,} chunks translated, {engine.get('hits', 0):,} found kept"
    return f"{served} served, {read} read from sources, {chunks}, {engine.get('errors', 0):,} errors"


def _of_mounts(mounts: Sequence[Path], as_json: bool) -> int:
    told = {mount: status_soon(mount) for mount in mounts}
    code = int(not all(told.values()))
    if as_json:
        print_json(
            {"mounts": [{"mountpoint": str(mount), "status": status} for mount, status in told.items()]}
        )
        return code
    print_table("", ("", ""), [row for mount, status in told.items() for row in _shown(mount, status)])
    say("there is no API, so there are no jobs to tell of")
    return code


def _shown(mount: Path, status: Mapping[str, Any] | None) -> Rows:
    if status is None:
        yield "mount", f"{mount}: does not answer; `prismfs umount {mount}` detaches it"
        return
    adapter = (status.get("adapter") or {}).get("name", "unknown")
    yield (
        "mount",
        f"{mount}: {_counted(status['models_known'], 'model')} of {status['source']}, {adapter} adapter",
    )
    store = status.get("store", {})
    if "disk_bytes" in store:
        held, limit = store["disk_bytes"], store["disk_limit"]
        files = f"{_counted(store['disk_files'], 'file')}, {store['disk_files_pinned']} pinned"
        yield "cache", f"{human(held)} of {human(limit)} ({share(held, limit)}): {files}"
    else:
        yield "cache", "in memory alone"
    yield "reads", _engine(status.get("engine", {}))


def _counted(count: int, word: str) -> str:
    return f"{count:,} {word}" + ("" if count == 1 else "s")
