"""The bytes of an HDF5 file, read with bounds: every address is checked, and all that is read is counted.

    file = opened(stored_file, start, length)      # `start`: 0, or where a member of an archive begins
    cursor = file.block(address, 24, b"HEAP")      # fields one after another, of the file's own widths

Addresses count from the superblock. A file can have its structures overlap, or lead back to themselves: what
is read of them together has a limit, so that time and memory have one.
Knows the superblock, and nothing of what else there is. Layout: HDF5 File Format Specification 3.0/4.0.
"""

from __future__ import annotations

from translators.errors import MalformedSource, Unsupported
from translators.sources.stored_file import StoredFile

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# What describes 150,000 tensors counts as 200 MB; each read, and each part, as a few bytes at least.
_MOST_READ = 256 << 20
_LEAST_READ = 64
_WIDTHS = (2, 4, 8)
# Behind a block of the user's, the superblock is at one of these places.
_FIRST_USER_BLOCK = 512


class Cursor:
    """Fields of a structure, one after another. `place` is where `data` begins in the stored file."""

    __slots__ = ("at", "data", "file", "place")

    def __init__(self, file: Hdf5File, data: bytes, place: int) -> None:
        self.file = file
        self.data = data
        self.place = place
        self.at = 0

    @property
    def left(self) -> int:
        """Bytes that were not taken yet."""
        return len(self.data) - self.at

    def take(self, length: int) -> bytes:
        """The next `length` bytes. Raises MalformedSource where there are fewer."""
        end = self.at + length
        if end > len(self.data):
            raise self.malformed("a structure ends too early")
        data = self.data[self.at : end]
        self.at = end
        return data

    def uint(self, width: int) -> int:
        """A number of `width` bytes."""
        return int.from_bytes(self.take(width), "little")

    def length(self) -> int:
        """A length, of the file's own width."""
        return self.uint(self.file.length_width)

    def address(self) -> int | None:
        """An address, None for the undefined one."""
        data = self.take(self.file.address_width)
        return None if data.count(0xFF) == len(data) else int.from_bytes(data, "little")

    def there(self) -> int:
        """An address that must be one."""
        address = self.address()
        if address is None:
            raise self.malformed("the address of a structure is undefined")
        return address

    def part(self, length: int) -> Cursor:
        """The next `length` bytes as a structure of their own."""
        place = self.place + self.at
        return Cursor(self.file, self.take(length), place)

    def malformed(self, reason: str) -> MalformedSource:
        """The error for what is wrong here."""
        return self.file.malformed(reason, self.place + self.at)


class Hdf5File:
    """An HDF5 file within a stored file: `base` is where its superblock is, `end` where it ends there."""

    def __init__(self, stored: StoredFile, base: int, end: int) -> None:
        self.stored = stored
        self.base = base
        self.end = end
        self.address_width = self.length_width = 8
        self.root = 0
        # Texts by their number, of collections of the global heap that were read, by their address.
        self.texts: dict[int, dict[int, bytes]] = {}
        self._read = 0

    def block(self, address: int, length: int, signature: bytes = b"", *, most: bool = False) -> Cursor:
        """The structure at an address, behind its signature.

        `most`: fewer bytes will do where the file ends. Raises MalformedSource.
        """
        place = self.placed(address, 0 if most else length)
        length = min(length, self.end - place)
        self.charge(length)
        cursor = Cursor(self, self.stored.read(place, length), place)
        if signature and cursor.take(len(signature)) != signature:
            raise self.malformed(f"there is no {signature.decode('latin-1')} structure", place)
        return cursor

    def placed(self, address: int, length: int) -> int:
        """Where `length` bytes at an address are in the stored file. Raises MalformedSource if outside."""
        place = self.base + address
        if place + length > self.end:
            raise self.malformed(f"{length:,} bytes lie outside the file", min(place, 1 << 64))
        return place

    def charge(self, length: int) -> None:
        """Count what was read, or made of it. Raises Unsupported for more than a checkpoint needs."""
        self._read += max(length, _LEAST_READ)
        if self._read > _MOST_READ:
            raise Unsupported(
                f"what describes the datasets takes more than {_MOST_READ:,} bytes",
                path=self.stored.shown, remedy="fetch the file again, or write it anew with h5repack",
            )  # fmt: skip

    def malformed(self, reason: str, place: int) -> MalformedSource:
        """The error for what is wrong at a place of the stored file."""
        return self.stored.malformed(reason, f"byte {place:,}")

    def unsupported(self, reason: str, remedy: str = "write the file anew with h5repack") -> Unsupported:
        """The error for what HDF5 has and this does not read."""
        return Unsupported(reason, path=self.stored.shown, remedy=remedy)


def opened(stored: StoredFile, start: int, length: int) -> Hdf5File:
    """The HDF5 file that these bytes of a stored file are. Raises MalformedSource, Unsupported."""
    base, end = start, start + length
    while base + len(SIGNATURE) <= end and stored.read(base, len(SIGNATURE)) != SIGNATURE:
        base = start + max(_FIRST_USER_BLOCK, 2 * (base - start))
    if base + len(SIGNATURE) > end:
        raise stored.malformed("is no HDF5 file", f"byte {start:,}", "name a file with weights")
    file = Hdf5File(stored, base, end)
    cursor = file.block(0, 128, SIGNATURE, most=True)
    version = cursor.uint(1)
    if version > 3:
        raise file.unsupported(f"an HDF5 file of version {version}")
    if version < 2:
        cursor.take(4)
    file.address_width, file.length_width = cursor.uint(1), cursor.uint(1)
    if file.address_width not in _WIDTHS or file.length_width not in _WIDTHS:
        raise cursor.malformed(f"addresses of {file.address_width} and lengths of {file.length_width} bytes")
    # Reserved, how wide trees are, flags; of later versions flags alone.
    cursor.take({0: 9, 1: 13}.get(version, 1))
    cursor.address()  # where the file thinks that its superblock is: it may have been moved
    beside = cursor.address()
    stated = cursor.there()
    if stated > length:
        raise stored.malformed(f"{stated:,} bytes were written, {length:,} are here", "superblock")
    if version < 2:
        beside = cursor.address()
        cursor.address()  # of the root group's name
    file.root = cursor.there()
    file.end = min(end, base + stated)
    if version < 2 and beside is not None:
        raise file.unsupported("an HDF5 file that is split over several files")
    return file
