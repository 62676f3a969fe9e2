"""`prismfs evict PATH...`: give back the disk that files' translated bytes take; they are read as before."""

from __future__ import annotations

import argparse

from fsd.cli.changing import changed, configure_paths, show
from fsd.cli.terminal import say


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    configure_paths(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evict each path; what is pinned or in use may stay, and is told."""
    done = changed("evict", arguments)
    show(done, "evicted", arguments.json)
    staying = [file for file in done.files if file["cached"]]
    if staying and not arguments.json:
        pinned = sum(bool(file["pinned"]) for file in staying)
        hint = "; prismfs unpin lets it go" if pinned else ""
        say(f"{len(staying)} kept bytes all the same, {pinned} of them pinned{hint}")
    return done.code
