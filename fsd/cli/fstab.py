"""`mount.prismfs SOURCE MOUNTPOINT -o OPTIONS`: what mount(8) runs for a line of /etc/fstab.

    /srv/models  /mnt/models  prismfs  cache_size=50G,allow_other,_netdev,nofail  0  0

An option of prismfs stands by its name; what is said to the kernel, to systemd or to mount itself is passed
over. Ends when the mount answers, with mount(8)'s exit codes. mount(8) looks for it in /sbin.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence

from fsd.cli import main as prismfs

# mount(8): exit codes of a helper.
USAGE, FAILED = 1, 32
# Said for any file system, or to whoever reads fstab. The mount is read-only whatever is said.
_PASSED_OVER = re.compile(
    r"(?:rw|ro|defaults|users?|nousers?|(?:no)?(?:auto|owner|group|exec|suid|dev|mand|lazytime|iversion|fail)"
    r"|(?:no)?(?:dir|rel|strict)?atime|(?:a|dir)?sync|silent|loud|_netdev|(?:x-|X-|comment=|user=|uhelper=).*)"
)
_OPTION = re.compile(r'(?:[^,"]|"[^"]*")+')  # a value with commas in it stands in double quotes


def main(argv: Sequence[str] | None = None) -> int:
    """Mount, in the background; returns the exit code."""
    arguments = _parsed(sys.argv[1:] if argv is None else argv)
    if arguments is None:
        return USAGE
    try:
        words, unknown = flags(",".join(arguments.options))
    except ImportError:  # another distribution hides our packages: the command says so
        prismfs(["mount"])
        return FAILED
    if unknown and not arguments.sloppy:
        print(f"mount.prismfs: unknown option: {unknown[0]}", file=sys.stderr)
        return USAGE
    if arguments.fake:
        return 0
    command = ["mount", "--daemon", *words, "--", arguments.source, arguments.mountpoint]
    code = prismfs(command)
    return {0: 0, 2: USAGE}.get(code, FAILED)


def flags(options: str) -> tuple[list[str], list[str]]:
    """The flags of `prismfs mount` that fstab's `options` stand for, and those that nobody knows."""
    from fsd.config import OPTIONS, switch  # noqa: PLC0415  (what a clash of packages breaks: see fsd.cli)

    known = {option.name: option for option in OPTIONS}
    words, unknown = [], []
    for text in _OPTION.findall(options):
        name, equals, value = text.partition("=")
        name, value = name.replace("-", "_"), value.replace('"', "")
        option = known.get(name)
        if _PASSED_OVER.fullmatch(text):
            continue
        if name == "config" and value:
            words.append(f"--config={value}")
        elif option is not None and option.is_switch:
            try:
                words += [option.flag] if not equals or switch(value) else []
            except ValueError:
                unknown.append(text)
        elif option is not None and equals:
            words.append(f"{option.flag}={value}")
        else:
            unknown.append(text)
    return words, unknown


def _parsed(argv: Sequence[str]) -> argparse.Namespace | None:
    """The words with which mount(8) calls a helper: SPEC DIR [-sfnv] [-o OPTIONS] [-t TYPE]; or None."""
    parser = argparse.ArgumentParser(prog="mount.prismfs", description="Mount for mount(8); see prismfs(1).")
    parser.add_argument("source", metavar="SOURCE")
    parser.add_argument("mountpoint", metavar="MOUNTPOINT")
    parser.add_argument("-o", dest="options", action="append", default=[], metavar="OPTIONS")
    parser.add_argument("-s", dest="sloppy", action="store_true", help="pass over options that nobody knows")
    parser.add_argument("-f", dest="fake", action="store_true", help="only look at the options")
    parser.add_argument("-t", dest="type", metavar="TYPE", help="passed over")
    for flag in ("-n", "-v", "-r", "-w"):
        parser.add_argument(flag, action="store_true", help="passed over")
    try:
        return parser.parse_args(argv)
    except SystemExit as end:
        if end.code == 0:
            raise
        return None


if __name__ == "__main__":
    sys.exit(main())
