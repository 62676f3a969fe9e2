"""The two FUSE adapters, and which one serves a mount.

Both serve the same tree in the same way; the kernel adapter, which needs root and Linux 6.9, also has source
files read by the kernel itself. An adapter is imported when it is chosen, as one loads libfuse.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Protocol

from fsd.mount.kernel import session
from fsd.mount.kernel.adapter import Adapter as KernelAdapter
from fsd.mount.observed import Observed
from fsd.mount.points import MountError

if TYPE_CHECKING:
    from fsd.tree import News, Tree


class Adapter(Protocol):
    """A tree behind FUSE; serves once."""

    name: str
    observed: Observed

    def serve(self, mountpoint: str, *, allow_other: bool, on_ready: Callable[[], None]) -> None:
        """Mount at an absolute path, call `on_ready`, and serve until the mount is gone.

        Raises MountError, or returns without having called `on_ready`, if it cannot be mounted.
        """

    def end(self) -> None:
        """Make `serve` return although files are open. From another thread."""

    def watched(self) -> None:
        """Before it serves: whoever calls will say what changes, so the kernel may keep what it is told."""

    def forget(self, news: News) -> None:
        """Have the kernel ask again for what this is about. Returns at once."""

    def refresh(self, inos: Collection[int]) -> None:
        """Have the kernel ask again how much of these files is cached. Returns at once."""

    def counters(self) -> dict[str, object]:
        """What it did so far, for status.json."""


def chosen(wanted: str) -> tuple[str, str]:
    """The adapter that `--fuse wanted` means on this machine, and why where that is worth a word."""
    if wanted != "auto":
        return wanted, ""
    reason = session.probe()
    return ("mfusepy", reason) if reason else ("kernel", "")


def made(name: str, tree: Tree) -> Adapter:
    """The adapter of that name. Raises MountError."""
    if name == KernelAdapter.name:
        return KernelAdapter(tree)
    try:
        from fsd.mount import mfuse  # noqa: PLC0415  (loads libfuse, which need not be there)
    except (OSError, AttributeError, ImportError) as error:
        remedy = "install it: apt install fuse3"
        raise MountError(f"libfuse 3 cannot be loaded: {error}", remedy=remedy) from None
    return mfuse.Adapter(tree)
