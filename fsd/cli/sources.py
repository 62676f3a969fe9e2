"""Sources on the command line: which one a path means, and the tree of it.

A path inside a mount is followed back to its source through `.prismfs/status.json`; then the verb works on
the source, as if there were no mount. The tree is what a mount would show. Knows nothing of FUSE.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fsd.cli.mounts import mount_above, status_of
from fsd.config import Options
from fsd.errors import BadOption
from fsd.mount import points

if TYPE_CHECKING:
    from fsd.tree import Tree


@contextmanager
def opened_tree(source: str, options: Options) -> Iterator[Tree]:
    """The tree of `source`, by `options`; it ends with the block. Nothing is kept on disk but plans."""
    # Half a second of imports, which a verb that needs a model's path alone does without.
    from fsd.daemon import parts  # noqa: PLC0415
    from fsd.tree import Tree  # noqa: PLC0415

    with parts.opened(options, [source], on_disk=False) as shared:
        yield Tree(source, shared.planner, shared.engine, types=options.types, split_size=options.split_size)


@dataclass(frozen=True)
class Located:
    """A source, and a place in a mount of it: "" for the whole. `mount` where the path was in one."""

    source: str
    below: str
    mount: Path | None = None


def located(path: str) -> Located:
    """What `path` means. Raises OSError for a path that is not there."""
    absolute = os.path.abspath(path)
    mount = mount_above(Path(absolute))
    if mount is None:
        os.stat(absolute)
        return Located(absolute, "")
    below = os.path.relpath(points.resolved(absolute), mount).removeprefix(".")
    return Located(status_of(mount)["source"], below, mount)


def model_path(path: str, options: Options) -> str:
    """The source of the one model that `path` means. Raises BadOption where it is not one, and OSError."""
    found = located(path)
    if not found.below and not Path(found.source).is_dir():
        return found.source
    with opened_tree(found.source, options) as tree:
        models = [model for model in tree.models() if _is_at(model.path, found.below)]
    if len(models) > 1:
        names = ", ".join(model.path for model in models[:5]) + (", ..." if len(models) > 5 else "")
        remedy = "name one of them"
        raise BadOption(f"there are {len(models)} models: {names}", path=path, remedy=remedy)
    return models[0].source if models else found.source  # for the translators to say what is wrong with it


def _is_at(model: str, below: str) -> bool:
    """Whether a model's path is at or under `below`, or `below` is a file of the model."""
    return not below or f"{model}/".startswith(f"{below}/") or below.startswith(f"{model}/")
