"""`prismfs config show|check`: what is in force and why, and what is wrong with a file.

`check` finds errors, with which no daemon would start, and warns of what may be otherwise when one does.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from fsd.cli import places
from fsd.cli.terminal import print_json, print_table, printable, say, sentence
from fsd.config import CONFIG_FLAG, CONFIG_HELP, Options, resolve
from fsd.control import Place
from fsd.mount import points

COLUMNS = ("option", "value", "set by")


def configure(parser: argparse.ArgumentParser) -> None:
    """The two actions."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    about = "list every option with its value and what set it, and the tables of a file"
    show = actions.add_parser("show", help=about, description=f"{about[0].upper()}{about[1:]}.")
    show.add_argument("--json", action="store_true", help="print what is found as JSON")
    show.add_argument(CONFIG_FLAG, metavar="FILE", help=CONFIG_HELP)
    about = "say what is wrong with a configuration file, and warn of what is missing here"
    check = actions.add_parser("check", help=about, description=f"{about[0].upper()}{about[1:]}.")
    check.add_argument("file", metavar="FILE", help="what --config would name")


def run(arguments: argparse.Namespace) -> int:
    """Show or check."""
    if arguments.action == "check":
        return _check(arguments.file)
    options = resolve(vars(arguments), os.environ)
    mounts = [(str(mount.source), str(mount.mountpoint)) for mount in options.mounts]
    if arguments.json:
        given = {name: asdict(setting) for name, setting in options.given.items()}
        named = [{"source": source, "mountpoint": mountpoint} for source, mountpoint in mounts]
        print_json({"options": given, "mounts": named, "imatrices": dict(options.imatrices)})
        return 0
    print_table("", COLUMNS, [(name, given.text, given.origin) for name, given in options.given.items()])
    print_table("", ("mount", "source", "mount point"), [("mount", *mount) for mount in mounts])
    if options.imatrices:
        print_table("", ("model", "importance matrix"), list(options.imatrices.items()))
    return 0


def _check(file: str) -> int:
    """0 where a daemon would start by this file alone. Raises BadOption, MountError."""
    options = resolve({"config": file}, {})
    found = [Place(mount.source, points.resolved(mount.mountpoint)) for mount in options.mounts]
    if clash := places.in_each_others_way(found):
        raise clash
    warnings = list(_warnings(options, found))
    for warning in warnings:
        say(f"warning: {printable(warning)}")
    counted = [f"mounts: {len(found)}", *([f"warnings: {len(warnings)}"] if warnings else [])]
    say(f"{printable(file)}: OK ({', '.join(counted)})")
    return 0


def _warnings(options: Options, found: list[Place]) -> Iterator[str]:
    if not found:
        yield "there is no [[mount]]: `prismfs mount` needs SOURCE and MOUNTPOINT with this file"
    for place in found:
        try:
            places.prove_readable(place.source)
        except OSError as error:
            yield sentence(error)
        mount = points.mount_at(place.mountpoint)
        try:
            if mount is None and next(os.scandir(place.mountpoint), None) is not None:
                yield f"{place.mountpoint}: the directory is not empty"
            elif mount is not None and not mount.is_ours:
                yield f"{place.mountpoint}: {mount.file_system} is mounted here"
        except FileNotFoundError:  # it will be made
            pass
        except OSError as error:
            yield sentence(error)
    for pair in options.imatrices.items():
        for name in pair:
            if not Path(name).exists():
                yield f"{name}: there is no such file"
    if options.api_token_file is not None and not options.api_token_file.is_file():
        yield f"{options.api_token_file}: there is no such file"
