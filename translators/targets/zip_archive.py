"""The headers of a zip archive whose members are stored plainly and whose sizes are known beforehand.

    member = Member(b"w.npy", size, checksum, position)      # position: where its local header begins
    member.header(); data; ...; directory(members, position)

Sizes, offsets and counts that the format's first fields cannot hold go into those of zip64. Times are of
1 January 1980, names are UTF-8. Layout: APPNOTE.TXT of PKWARE.
Knows nothing of what is in a member.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

HEADER = 30  # bytes of a local header before the name
_WIDE, _WIDE_COUNT = 0xFFFFFFFF, 0xFFFF
_UTF8, _DATE, _PLAIN, _ZIP64 = 0x0800, 0x21, 0, 45


@dataclass(frozen=True, slots=True)
class Member:
    """A member of `size` bytes, whose local header is at `position`.

    version: the version of the format that it is told to need, where it does not need zip64's.
    """

    name: bytes
    size: int
    checksum: int
    position: int
    version: int

    @property
    def sizes(self) -> bytes:
        """The local header's zip64 field; empty for a size that needs none."""
        return struct.pack("<HHQQ", 1, 16, self.size, self.size) if self.size >= _WIDE else b""

    def header(self, more: bytes = b"") -> bytes:
        """The local header; `more` is put behind the zip64 field."""
        extra, told = self.sizes + more, min(self.size, _WIDE)
        version = _ZIP64 if self.sizes else self.version
        fields = (version, _UTF8, _PLAIN, 0, _DATE, self.checksum, told, told, len(self.name), len(extra))
        return struct.pack("<4s5H3I2H", b"PK\x03\x04", *fields) + self.name + extra

    def entry(self) -> bytes:
        """The member's entry in the directory."""
        wide = struct.pack("<QQ", self.size, self.size) if self.size >= _WIDE else b""
        wide += struct.pack("<Q", self.position) if self.position >= _WIDE else b""
        extra = struct.pack("<HH", 1, len(wide)) + wide if wide else b""
        told, version = min(self.size, _WIDE), _ZIP64 if wide else self.version
        fields = (
            version, version, _UTF8, _PLAIN, 0, _DATE, self.checksum, told, told, len(self.name), len(extra),
            0, 0, 0, 0, min(self.position, _WIDE),
        )  # fmt: skip
        return struct.pack("<4s6H3I5H2I", b"PK\x01\x02", *fields) + self.name + extra


def directory(members: Sequence[Member], position: int, *, always_wide: bool = False) -> bytes:
    """The directory, which begins at `position`, and its end: zip64's too where it is needed, or always."""
    data, count = b"".join(member.entry() for member in members), len(members)
    wide = b""
    if always_wide or count >= _WIDE_COUNT or len(data) >= _WIDE or position >= _WIDE:
        fields = (44, _ZIP64, _ZIP64, 0, 0, count, count, len(data), position)
        wide = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", *fields)
        wide += struct.pack("<4sIQI", b"PK\x06\x07", 0, position + len(data), 1)
    few, size, start = min(count, _WIDE_COUNT), min(len(data), _WIDE), min(position, _WIDE)
    return data + wide + struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, few, few, size, start, 0)
