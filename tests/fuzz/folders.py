"""A directory of files as one string of bytes, which is what a fuzzer changes.

Of a parser of one file the bytes are the file. Of several, each follows a line with its name:

    -- config.json --
    {...}

Names that the parser does not know are passed over, so that no input reaches outside its directory.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

Files = dict[str, bytes]

_LINE = re.compile(rb"(?:\A|\n)-- ([\w.-]{1,64}) --\n")


def packed(files: Mapping[str, bytes], names: Sequence[str]) -> bytes:
    """The bytes of these files, for a parser of files called `names`."""
    if len(names) == 1:
        return files[names[0]]
    return b"".join(b"\n-- " + name.encode() + b" --\n" + content for name, content in files.items())


def unpacked(data: bytes, names: Sequence[str]) -> Files:
    """The files of these bytes; any bytes are some."""
    if len(names) == 1:
        return {names[0]: data}
    _, *parts = _LINE.split(data)
    found = zip(parts[::2], parts[1::2], strict=True)
    return {name.decode(): content for name, content in found if name.decode() in names}


def write(files: Mapping[str, bytes], names: Sequence[str], directory: Path) -> None:
    """Have `directory` hold these files, and none of the other `names`."""
    for name in names:
        if name in files:
            (directory / name).write_bytes(files[name])
        else:
            (directory / name).unlink(missing_ok=True)
