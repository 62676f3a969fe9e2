"""`prismfs unpin PATH...`: these files may go again when room is needed; nothing is removed now."""

from __future__ import annotations

import argparse

from fsd.cli.changing import changed, configure_paths, show


def configure(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    configure_paths(parser)


def run(arguments: argparse.Namespace) -> int:
    """Unpin each path."""
    done = changed("unpin", arguments)
    show(done, "unpinned", arguments.json)
    return done.code
