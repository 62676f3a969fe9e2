"""What a mount answers by either adapter: the same figures, and the same yes and no.

Knows the attributes of `fsd.tree`; no binding.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from fsd.mount.faults import Answer

if TYPE_CHECKING:
    from fsd.tree import Attributes

BLOCK_SIZE = 1 << 20  # st_blksize: the size of cp's and cat's reads
SECTOR = 512  # the unit of st_blocks, whatever st_blksize says
# How long the kernel answers stat and look-up by itself: long enough that one `ls -l` or one loader asks
# once, short enough that a person sees a changed source at once. No open relies on it.
TIMEOUT_SECONDS = 2.0
# The same where the source is watched, and the kernel is told what is out of date.
WATCHED_SECONDS = 3600.0
# A reader that waits for a computation holds a thread: more of them than readers wait at a time, and more
# than read-ahead requests are under way, of all readers together.
THREADS, BACKGROUND = 256, 192
_XATTR_PREFIX = "user.prismfs."
_OTHERS = ("system.", "security.selinux")


def mode_of(attributes: Attributes) -> int:
    """st_mode: the type and the permissions."""
    return (stat.S_IFDIR if attributes.kind == "directory" else stat.S_IFREG) | attributes.mode


def may_write(flags: int) -> bool:
    """Whether who opens with `flags` may write. Raises Answer (EROFS) for what means to.

    Read-write is accepted, as clients open so and never write.
    """
    access = flags & os.O_ACCMODE
    if access == os.O_WRONLY or flags & os.O_TRUNC or (access == os.O_RDWR and flags & os.O_APPEND):
        raise Answer(errno.EROFS)
    return access != os.O_RDONLY


def xattr(name: str, values: Callable[[], Mapping[str, bytes]]) -> bytes:
    """The value of an extended attribute, of those that `values` gives. Raises Answer.

    Ours only: the kernel asks for many others with every `ls -l`.
    """
    value = values().get(name) if name.startswith(_XATTR_PREFIX) else None
    if value is None:
        # Whoever is told that there are none of a kind, as access control lists or labels, need not ask for
        # each file.
        raise Answer(errno.EOPNOTSUPP if name.startswith(_OTHERS) else errno.ENODATA)
    return value
