"""A session with the kernel: the device, the mount, and what both sides agree on at the start.

It registers the files that the kernel is to read by itself, and ends the mount by force where files are open.
Knows INIT alone of the messages; `workers` answers all others.
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import select
from contextlib import suppress
from pathlib import Path

from fsd.mount.answers import BACKGROUND, BLOCK_SIZE
from fsd.mount.kernel import protocol
from fsd.mount.kernel.protocol import BACKING_MAP, HEADER_IN, HEADER_OUT, WORD, Feature, Operation
from fsd.mount.kernel.workers import BUFFER
from fsd.mount.points import FILE_SYSTEM, MountError

log = logging.getLogger(__name__)

DEVICE = Path("/dev/fuse")
_CLONE, _BACKING_OPEN, _BACKING_CLOSE = 0x8004E500, 0x4010E501, 0x4004E502
_NOSUID, _NODEV = 2, 4  # mount(2)
_FORCE, _DETACH = 1, 2  # umount(2)
# The same numbers on every architecture; flags of fsconfig(2).
_FSOPEN, _FSCONFIG = 430, 431
_SET_STRING, _CREATE = 1, 6

_libc = ctypes.CDLL(None, use_errno=True)


class Session:
    """A mount at `mountpoint`, made by the constructor, which then agrees on `features` with the kernel.

    Raises MountError.
    """

    def __init__(self, mountpoint: str, *, allow_other: bool) -> None:
        self._mountpoint = mountpoint
        self._device = _opened()
        try:
            _mount(self._device, mountpoint, allow_other=allow_other)
        except MountError:
            os.close(self._device)
            raise
        try:
            self.features = self._negotiate()
        except (OSError, MountError) as error:
            self.end()
            os.close(self._device)
            reason = f"the kernel ended the session at its start: {error}"
            raise MountError(reason, path=mountpoint, remedy="mount with --fuse mfusepy") from None

    def close(self) -> None:
        """When the mount is gone and nobody uses a clone any more."""
        os.close(self._device)

    def end(self) -> None:
        """Break the mount off although files are open: who waits for it, or asks later, gets ENOTCONN."""
        if _libc.umount2(os.fsencode(self._mountpoint), _FORCE | _DETACH):
            log.debug("%s is not mounted any more", self._mountpoint)

    def notify(self, message: bytes) -> None:
        """Tell the kernel something unasked. It may wait for who asks us: not for a worker's thread."""
        with suppress(OSError):  # it knows no such node or name, which is as good; or the mount is gone
            os.write(self._device, message)

    def register(self, descriptor: int) -> int:
        """Have the kernel read a file itself; gives the id that an answer to OPEN names. Raises OSError."""
        request = bytearray(BACKING_MAP.pack(descriptor, 0, 0))
        return int(fcntl.ioctl(self._device, _BACKING_OPEN, request))

    def unregister(self, backing: int) -> None:
        """The id is named no more; what is open by it lives on."""
        with suppress(OSError):  # the mount may be gone
            fcntl.ioctl(self._device, _BACKING_CLOSE, WORD.pack(backing))

    def _negotiate(self) -> Feature:
        buffer = bytearray(BUFFER)
        os.readv(self._device, [buffer])
        unique, readahead, minor, features = _first(buffer)
        body = protocol.init_out(minor, min(readahead, BLOCK_SIZE), features, BACKGROUND)
        os.writev(self._device, [HEADER_OUT.pack(HEADER_OUT.size + len(body), 0, unique), body])
        return features

    def clone(self) -> int:
        """Another descriptor of the session, to be closed by the caller."""
        device = _opened()
        try:
            fcntl.ioctl(device, _CLONE, WORD.pack(self._device))
        except OSError:  # the mount is going away, or the kernel cannot: then they share one
            os.close(device)
            return os.dup(self._device)
        return device


def probe() -> str:
    """Why a session cannot have passthrough here, or "".

    Asks the kernel what it offers, for a superblock that is mounted nowhere and gone at once.
    """
    if os.geteuid() != 0:
        return "it needs root"
    try:
        device = _opened()
    except MountError as error:
        return error.reason
    context = _libc.syscall(_FSOPEN, b"fuse", 1)
    if context < 0:
        os.close(device)
        return f"fsopen: {os.strerror(ctypes.get_errno())}"
    try:
        values = {b"fd": str(device).encode(), b"rootmode": b"40000", b"user_id": b"0", b"group_id": b"0"}
        for key, value in values.items():
            if _libc.syscall(_FSCONFIG, context, _SET_STRING, key, value, 0):
                return f"fsconfig: {os.strerror(ctypes.get_errno())}"
        if _libc.syscall(_FSCONFIG, context, _CREATE, None, None, 0):
            return f"a mount is not allowed: {os.strerror(ctypes.get_errno())}"
        if not select.select([device], [], [], 1)[0]:
            return "the kernel does not begin a session"
        buffer = bytearray(BUFFER)
        os.readv(device, [buffer])
        features = _first(buffer)[-1]
        return "" if Feature.PASSTHROUGH in features else "the kernel offers no passthrough (Linux 6.9 does)"
    except (OSError, MountError) as error:
        return str(error)
    finally:
        os.close(device)
        os.close(context)


def _first(message: bytearray) -> tuple[int, int, int, Feature]:
    """Of the first message: unique, max_readahead, minor, features. Raises MountError."""
    length, operation, unique, *_ = HEADER_IN.unpack_from(message)
    major, minor, readahead, features = protocol.offered(memoryview(message)[HEADER_IN.size : length])
    if operation != Operation.INIT or major != protocol.MAJOR:
        raise MountError("the kernel speaks another version of FUSE", remedy="mount with --fuse mfusepy")
    return unique, readahead, minor, features


def _opened() -> int:
    try:
        return os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise MountError(f"{DEVICE}: {error.strerror}", remedy="prismfs doctor says more") from None


def _mount(device: int, mountpoint: str, *, allow_other: bool) -> None:
    options = f"fd={device},rootmode=40000,user_id={os.getuid()},group_id={os.getgid()},default_permissions"
    options += ",allow_other" if allow_other else ""
    arguments = (b"prismfs", os.fsencode(mountpoint), FILE_SYSTEM.encode(), _NOSUID | _NODEV)
    if _libc.mount(*arguments, options.encode()):
        reason = f"it cannot be mounted: {os.strerror(ctypes.get_errno())}"
        raise MountError(reason, path=mountpoint, remedy="mount with --fuse mfusepy")
