"""The virtual files of one model, by every name that leads to them.

A plan's name is its path in the model's directory. A GGUF has two: `model.gguf-q4_k_m`, and
`gguf/<Model>-Q4_K_M.gguf` for programs that want an extension; what a model sees or hears by is
`mmproj-f16.gguf`, and `gguf/mmproj-<Model>-F16.gguf`. All are found in any case, listed or not; a listing
shows the types that are configured, that of the source's own precision, and everything that is no GGUF.
`-noimat` after the type asks for the form that no importance matrix had a part in: a file of its own where
there is a matrix, elsewhere the same file.
A directory of a format (`mlx-4bit/`) has forms of its own, by its own listing; it is shown where `types`
names it, as whoever lists everything below a model would have each planned.
Knows nothing of source files (which go first), of inodes, or of planning.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import blake2b

import msgspec

from fsd.errors import PlanRefused
from fsd.planner import Entry, Listing

TYPED = "model.gguf-"
SIDE = "mmproj-"
ALIASES = "gguf"
NOIMAT = "-noimat"
_EXTENSION = ".gguf"


class Form(msgspec.Struct, frozen=True, gc=False):
    """A virtual file under one of its names (a path in the model's directory)."""

    path: str
    entry: Entry
    listed: bool


class Forms:
    """The virtual files of the model called `model`, of which those in `types` are listed."""

    def __init__(self, listing: Listing, model: str, types: Collection[str]) -> None:
        self.listing = listing
        self.version = blake2b(msgspec.msgpack.encode(listing.files), digest_size=16).hexdigest()
        self.mtime_ns = max((file.mtime_ns for file in listing.files), default=0)
        self.all: list[Form] = []
        aliases: list[Form] = []
        for entry in listing.entries:
            kind = type_of(entry.name)
            listed = kind is None or kind in types or entry.own
            self.all.append(Form(entry.name, entry, listed))
            if kind is not None:
                side = SIDE if is_side(entry.name) else ""
                aliases.append(Form(f"{ALIASES}/{side}{model}-{_upper(kind)}.gguf", entry, listed))
        self.all += aliases
        self._inside: dict[str, tuple[list[Form], list[str]]] = {}
        self._exact = {form.path: form.entry for form in self.all}
        self._typed = {
            entry.name.casefold(): entry for entry in listing.entries if type_of(entry.name) is not None
        }
        # A directory that is refused is called "mlx-4bit/" there.
        self._refused = {refused.name.casefold().rstrip("/"): refused for refused in listing.refusals}
        self.folders = {folder.name: folder for folder in listing.folders}
        self._shown = [name for name in self.folders if name in types]
        self._alias = f"{ALIASES}/{model}-".casefold()
        self._side_alias = f"{ALIASES}/{SIDE}{model}-".casefold()

    def find(self, path: str) -> Entry | None:
        """The virtual file at `path` in the model's directory. Raises PlanRefused for one that cannot be."""
        entry = self._exact.get(path)
        if entry is not None:
            return entry
        name = path.casefold()
        if name.startswith(self._side_alias):
            name = SIDE + name[len(self._side_alias) :]
        elif name.startswith(self._alias) and name.endswith(_EXTENSION):
            name = TYPED + name[len(self._alias) : -len(_EXTENSION)]
        # What is there, or refused, without a matrix is never to be had with one.
        found = self._typed_as(name)
        return self._typed_as(name.removesuffix(NOIMAT)) if found is None else found

    def _typed_as(self, name: str) -> Entry | None:
        refused = self._refused.get(name)
        if refused is not None:
            raise PlanRefused(refused.reason, place=refused.name, remedy=refused.remedy)
        return self._typed.get(name)

    def is_directory(self, path: str) -> bool:
        """Whether virtual files lie below `path`."""
        return path in self.folders or any(form.path.startswith(path + "/") for form in self.all)

    def inside(self, directory: str) -> tuple[list[Form], list[str]]:
        """What a listing of `directory` ("" for the model's own) shows: files, and names of directories."""
        if directory not in self._inside:
            self._inside[directory] = self._look_inside(directory)
        return self._inside[directory]

    def _look_inside(self, directory: str) -> tuple[list[Form], list[str]]:
        prefix = f"{directory}/" if directory else ""
        files: list[Form] = []
        directories: dict[str, None] = {}
        if not directory:
            directories = dict.fromkeys(self._shown)
        for form in self.all:
            if not form.listed or not form.path.startswith(prefix):
                continue
            name, slash, _ = form.path.removeprefix(prefix).partition("/")
            if slash:
                directories[name] = None
            else:
                files.append(Form(name, form.entry, True))
        return files, list(directories)


def is_side(name: str) -> bool:
    """Whether a form of this name is what a model sees or hears by."""
    return name.startswith(SIDE) and name.endswith(_EXTENSION)


def type_of(name: str) -> str | None:
    """The type that a GGUF's name tells, lower case; None for other files."""
    if is_side(name):
        return name[len(SIDE) : -len(_EXTENSION)].lower()
    return name[len(TYPED) :].lower() if name.startswith(TYPED) else None


def _upper(kind: str) -> str:
    """A type as people write it: Q4_K_M, and Q4_K_M-noimat."""
    return kind.upper().replace(NOIMAT.upper(), NOIMAT)


def target_of(name: str) -> str:
    """What the translation of a form is counted under: one of a few words, whatever models there are."""
    folder, slash, _ = name.partition("/")
    if slash:
        return folder
    kind = type_of(name)
    if kind is not None:
        return f"{SIDE if is_side(name) else 'gguf-'}{kind.removesuffix(NOIMAT)}"
    return "safetensors" if name.endswith(".safetensors") else "other"


def is_form_like(path: str) -> bool:
    """Whether somebody who asks for `path` means a virtual file, and should hear why there are none."""
    folded = path.casefold()
    return folded.startswith(("model.", SIDE, ALIASES + "/")) or folded == ALIASES
