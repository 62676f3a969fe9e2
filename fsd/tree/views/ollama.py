"""Ollama's store: manifests/registry.ollama.ai/library/<model>/<type> and blobs/sha256-<digest>.

A tag is a GGUF type that the model's directory lists; `latest` is the one that people mostly mean. A listing
of the blobs shows those of the models that are planned already; a blob can be opened by a digest that was
told before a restart all the same: a synthetic one names its model. See images.py for digests and content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fsd.tree.forms import Forms
from fsd.tree.models import Known, ModelFolders
from fsd.tree.nodes import Node, ViewFolder
from fsd.tree.views.images import MARK, Images, Weights, manifest
from fsd.tree.views.shelves import Models, Shelf, Shown, plain

_VIEW = "ollama"
_LIBRARY = ("manifests", "registry.ollama.ai", "library")
_BLOBS = ("blobs",)
_BLOB = re.compile(r"sha256-([0-9a-f]{64})")
# The first of these that is listed is `latest`; without any, the first that is.
_LATEST = ("q4_k_m", "q4_k_s", "q4_0", "iq4_xs", "q5_k_m", "q6_k", "q8_0")
_REMEMBERED = 1 << 16

Item = tuple[Node, Known | None]


class Ollama:
    """The models that `models` knows, below `ollama`."""

    def __init__(self, models: Models, folders: ModelFolders, images: Images) -> None:
        self._shelf = Shelf(models, lambda path: plain(path).lower())
        self._folders = folders
        self._images = images
        # Whose a digest is that a manifest told.
        self._told: dict[str, Shown] = {}

    def child(self, parts: tuple[str, ...], name: str) -> Item | None:
        """A directory, a manifest or a blob. Raises why the model has no forms at all."""
        if parts == _BLOBS:
            match = _BLOB.fullmatch(name)
            return self._blob(match[1]) if match else None
        if len(parts) == len(_LIBRARY) + 1:
            return self._manifest(parts[-1], name)
        here = self._shelf.get(name) is not None if parts == _LIBRARY else name in _names(parts)
        return (ViewFolder("/".join((_VIEW, *parts, name))), None) if here else None

    def children(self, parts: tuple[str, ...]) -> Iterator[tuple[str, Node, Known | None]]:
        """What is in a directory."""
        if parts == _BLOBS:
            yield from self._blobs()
        elif len(parts) == len(_LIBRARY) + 1:
            shown = self._shelf.get(parts[-1])
            if shown is not None:
                for tag, weights in self._tags(shown, self._forms(shown)).items():
                    yield tag, *self._told_of(shown, weights)
        else:
            for name in self._shelf.all() if parts == _LIBRARY else _names(parts):
                yield name, ViewFolder("/".join((_VIEW, *parts, name))), None

    def _forms(self, shown: Shown) -> Forms | None:
        try:
            return self._folders.forms(shown.source)
        except OSError:  # its files went away
            return None

    def _tags(self, shown: Shown, forms: Forms | None) -> dict[str, Weights]:
        """Images by tag."""
        if forms is None:
            return {}
        tags = {weights.type: weights for weights in self._images.weights(shown, forms)}
        latest = next((tags[kind] for kind in (*_LATEST, *tags) if kind in tags), None)
        return {"latest": latest, **tags} if latest is not None else {}

    def _manifest(self, model: str, tag: str) -> Item | None:
        shown = self._shelf.get(model)
        if shown is None:
            return None
        forms = self._forms(shown)
        weights = self._tags(shown, forms).get(tag)
        if weights is not None:
            return self._told_of(shown, weights)
        if forms is not None and forms.listing.error is not None:
            raise forms.listing.error.error()
        return None

    def _told_of(self, shown: Shown, weights: Weights) -> Item:
        """The manifest of an image, whose blobs are found from now on."""
        if len(self._told) >= _REMEMBERED:
            self._told.clear()
        self._told[weights.digest] = shown
        texts = self._images.texts(shown, weights)
        projector = self._images.projector(shown, weights.planned.forms)
        if projector is not None:
            self._told[projector.digest] = shown
        self._told.update((text.digest, shown) for text in texts)
        return manifest(weights, projector, texts), None

    def _blobs(self) -> Iterator[tuple[str, Node, Known | None]]:
        seen: set[str] = set()
        for shown in self._shelf.all().values():
            for digest, _, node, known in self._blobs_of(shown, self._folders.known(shown.source)):
                if digest not in seen:
                    seen.add(digest)
                    yield f"sha256-{digest}", node, known

    def _blobs_of(self, shown: Shown, forms: Forms | None) -> Iterator[tuple[str, str, Node, Known | None]]:
        """The blobs of a model, each by its digest, and the one that it had or has besides."""
        if forms is None:
            return
        found = list(self._images.weights(shown, forms))
        projector = self._images.projector(shown, forms)
        for weights in (*found, *([projector] if projector is not None and found else [])):
            yield weights.digest, weights.synthetic, weights.node, weights.planned
        for weights in found:
            for text in self._images.texts(shown, weights):
                yield text.digest, "", text.node, None

    def _blob(self, digest: str) -> Item | None:
        for shown, forms in self._candidates(digest):
            for own, other, node, known in self._blobs_of(shown, forms):
                if digest in (own, other):
                    return node, known
        return None

    def _candidates(self, digest: str) -> Iterator[tuple[Shown, Forms | None]]:
        """Models that it may be of: planned if it says so, or a manifest did; others as far as they are."""
        models = self._shelf.all().values()
        if digest.startswith(MARK):
            mark = digest[len(MARK) : len(MARK) + 16]
            yield from ((shown, self._forms(shown)) for shown in models if shown.mark(8) == mark)
            return
        told = self._told.get(digest)
        if told is not None:
            yield told, self._forms(told)
        yield from ((shown, self._folders.known(shown.source)) for shown in models if shown != told)


def _names(parts: tuple[str, ...]) -> tuple[str, ...]:
    """The fixed directories in one of them."""
    if not parts:
        return (_LIBRARY[0], *_BLOBS)
    return _LIBRARY[len(parts) : len(parts) + 1] if parts == _LIBRARY[: len(parts)] else ()
