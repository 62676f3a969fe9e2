"""Where the members of a zip archive lie, so that what is stored plainly is read in place.

    members = zip_members(file)                    # name -> Member
    data = member_bytes(file, members["version"])  # a small one, decompressed if need be

The central directory is read by the standard library; each member's data begins where its own local header
says, which must lie within the archive. Nothing is extracted, and a name is never a path here.
Knows nothing of what is in a member.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from dataclasses import dataclass

from translators.errors import Unsupported
from translators.sources.stored_file import StoredFile, clipped

_LOCAL = struct.Struct("<4s22xHH")  # signature; name and extra field: their lengths
_SIGNATURE = b"PK\x03\x04"
# More than any checkpoint has: 150,000 tensors. So many bytes of entries become 250 MB of Python at most.
_MOST_DIRECTORY = 16 << 20


@dataclass(frozen=True, slots=True)
class Member:
    """A member's data: `length` bytes at `offset` of the archive, `size` bytes once they are decompressed.

    plain: stored as they are. method: the archive's number for how they are compressed.
    """

    name: str
    offset: int
    length: int
    size: int
    method: int = zipfile.ZIP_STORED

    @property
    def plain(self) -> bool:
        """Whether the bytes are stored as they are."""
        return self.method == zipfile.ZIP_STORED


class _Descriptor(io.RawIOBase):
    """A `StoredFile` as zipfile wants it: seekable. Reads are bounded by the largest directory."""

    def __init__(self, file: StoredFile) -> None:
        super().__init__()
        self._file = file
        self._at = 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._file.size}[whence]
        if base + offset < 0:
            raise OSError("before the file's start")
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        rest = max(0, self._file.size - self._at)
        length = rest if size is None or size < 0 else min(size, rest)
        if length > _MOST_DIRECTORY:
            raise zipfile.BadZipFile(f"a directory of {length:,} bytes")
        data = self._file.read(self._at, length)
        self._at += length
        return data


def is_zip(file: StoredFile) -> bool:
    """Whether the file begins as a zip archive does."""
    return file.size >= 4 and file.read(0, 4) == _SIGNATURE


def zip_members(file: StoredFile) -> dict[str, Member]:
    """The members by name, in the archive's order. Raises MalformedSource, Unsupported (encryption)."""
    try:
        with zipfile.ZipFile(_Descriptor(file)) as archive:
            entries, limit = archive.infolist(), archive.start_dir
    except (
        zipfile.BadZipFile,
        OSError,
        ValueError,
        struct.error,
        NotImplementedError,
        UnicodeError,
    ) as error:
        raise file.malformed(f"no usable zip archive: {error}", "central directory") from error
    members: dict[str, Member] = {}
    for entry in entries:
        if entry.filename in members:
            raise file.malformed("the member is there twice", f"member {clipped(entry.filename)!r}")
        members[entry.filename] = _member(file, entry)
    end = 0
    for member in sorted(members.values(), key=lambda member: member.offset):
        if member.length and member.offset < end:
            raise file.malformed("it shares bytes with another member", f"member {clipped(member.name)!r}")
        end = max(end, member.offset + member.length)
    if end > limit:
        raise file.malformed("a member reaches into the directory", "central directory")
    return members


def member_bytes(file: StoredFile, member: Member, limit: int) -> bytes:
    """The bytes of a member of at most `limit`. Raises MalformedSource, Unsupported (a rare compression)."""
    size = max(member.size, member.length)
    if size > limit:
        reason = f"{size:,} bytes are too many for such a member"
        raise file.malformed(reason, f"member {clipped(member.name)!r}")
    data = file.read(member.offset, member.length)
    if member.plain:
        return data
    if member.method != zipfile.ZIP_DEFLATED:
        raise Unsupported(f"compression method {member.method}", path=file.shown, place=clipped(member.name))
    try:
        # One byte more than it says, to see whether there is more.
        plain = zlib.decompressobj(-15).decompress(data, member.size + 1)
    except zlib.error as error:
        raise file.malformed(f"cannot be decompressed: {error}", member.name) from error
    if len(plain) != member.size:
        raise file.malformed("its size is not what the directory says", member.name)
    return plain


def _member(file: StoredFile, entry: zipfile.ZipInfo) -> Member:
    place = f"member {clipped(entry.filename)!r}"
    if entry.flag_bits & 1:
        raise Unsupported("the member is encrypted", path=file.shown, place=place)
    if entry.header_offset < 0 or entry.header_offset + _LOCAL.size > file.size:
        raise file.malformed("it lies outside the archive", place)
    signature, name, extra = _LOCAL.unpack(file.read(entry.header_offset, _LOCAL.size))
    offset = entry.header_offset + _LOCAL.size + name + extra
    if signature != _SIGNATURE or offset + entry.compress_size > file.size:
        raise file.malformed("its data do not lie where the directory says", place)
    if entry.compress_type == zipfile.ZIP_STORED and entry.compress_size != entry.file_size:
        raise file.malformed("stored plainly, and of two sizes", place)
    return Member(entry.filename, offset, entry.compress_size, entry.file_size, entry.compress_type)
