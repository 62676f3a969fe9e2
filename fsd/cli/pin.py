"""`prismfs pin PATH...`: what is translated of these files stays, whatever has to go; also over a restart."""

from __future__ import annotations

import argparse

from fsd.cli.changing import changed, configure_paths, show
from fsd.cli.terminal import printable, say


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    configure_paths(parser)


def run(arguments: argparse.Namespace) -> int:
    """Pin each path; the bytes that are there, and those that come."""
    done = changed("pin", arguments)
    show(done, "pinned", arguments.json)
    lacking = [file for file in done.files if file["translated"] and file["cached"] < file["size"]]
    if lacking and not arguments.json:
        paths = printable(" ".join(arguments.paths))
        say(f"{len(lacking)} of {len(done.files)} not complete yet: prismfs warm {paths}")
    return done.code
