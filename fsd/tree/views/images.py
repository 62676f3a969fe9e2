"""Images: a model in one type as Ollama's store has it, a manifest and the blobs that it names.

The weights' digest is their sha256 once a job computed it (warm, verify, export), as a manifest must be had
without reading them; before, it is made of the plan's identity, the same after every restart:

    707269736d667300 <16 digits of the model's path> <32 digits of the layout's identity>

Ollama compares digests when it pulls only. Whoever read a manifest keeps what he read: a file is found by
either digest. All else is small, and has its own sha256: the config, and as layers what the model's files
say (LICENSE, and `template`, `system`, `params` as the hub's models have them for Ollama; without `params`,
the sampling of generation_config.json). Knows nothing of the names of models or tags.
"""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

from fsd.errors import PrismError
from fsd.planner import Entry, Planner
from fsd.tree.forms import NOIMAT, Form, Forms, is_side, type_of
from fsd.tree.handles import SourceHandle
from fsd.tree.models import Planned
from fsd.tree.nodes import ModelFolder, ViewText, VirtualFile
from fsd.tree.stored import Stored
from fsd.tree.views.heads import Facts, facts_of
from fsd.tree.views.shelves import Shown
from translators.errors import TranslationError
from translators.layout import LiteralBytes

MARK = b"prismfs\0".hex()
_LAYER = "application/vnd.ollama.image."
_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_FILES = {"template": "template", "system": "system", "params": "params", "LICENSE": "license"}
_SAMPLING = {
    "temperature": "temperature", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}  # fmt: skip
_PROJECTED = "f16"
_TEXT_SIZE = 1 << 20
_HEAD_SIZE = 1 << 16
_FACTS_KEPT = 4096


@dataclass(frozen=True, slots=True)
class Text:
    """A small blob. `kind` is its layer's, as in `application/vnd.ollama.image.<kind>`."""

    kind: str
    node: ViewText

    @property
    def digest(self) -> str:
        """64 hex digits."""
        return sha256(self.node.text).hexdigest()


@dataclass(frozen=True, slots=True)
class Weights:
    """A GGUF as a blob: `digest` is the one to be told, `synthetic` the one that always leads there too."""

    type: str
    digest: str
    synthetic: str
    node: VirtualFile
    planned: Planned


class Images:
    """Makes them of source files (`stored`), plans, and the digests that `known` knows by identity."""

    def __init__(self, stored: Stored, planner: Planner, known: Callable[[str], str | None]) -> None:
        self._stored = stored
        self._planner = planner
        self._known = known
        self._facts: dict[tuple[Shown, str], Facts] = {}

    def weights(self, shown: Shown, forms: Forms) -> Iterator[Weights]:
        """The listed GGUFs of a model."""
        return (each for form in forms.all if not is_side(form.path) for each in self._as(shown, forms, form))

    def projector(self, shown: Shown, forms: Forms) -> Weights | None:
        """What a model sees or hears by, the same for each of its images: in f16 if that is listed."""
        found = [each for form in forms.all if is_side(form.path) for each in self._as(shown, forms, form)]
        return min(found, key=lambda each: each.type != _PROJECTED, default=None)

    def _as(self, shown: Shown, forms: Forms, form: Form) -> Iterator[Weights]:
        """A form as a blob, if it is one that is listed."""
        kind = type_of(form.path)
        if kind is not None and form.listed:
            synthetic = MARK + shown.mark(8) + form.entry.identity[:32]
            digest = self._known(form.entry.identity) or synthetic
            node = VirtualFile(shown.source, form.entry.name, forms.version)
            yield Weights(kind, digest, synthetic, node, Planned(form.entry, forms))

    def texts(self, shown: Shown, weights: Weights) -> list[Text]:
        """The small blobs of an image: its config, then the layers behind the weights."""
        facts = self._facts_of(shown, weights)
        config = {
            "model_format": "gguf",
            "model_family": facts.architecture,
            "model_families": [facts.architecture],
            "model_type": facts.size_label,
            "file_type": weights.type.removesuffix(NOIMAT).upper(),
            "architecture": "amd64",
            "os": "linux",
        }
        mtime_ns = weights.planned.forms.mtime_ns
        return [Text("config", ViewText(_json(config), mtime_ns)), *self._layers(shown, mtime_ns)]

    def _layers(self, shown: Shown, mtime_ns: int) -> Iterator[Text]:
        found = {name: self._content(shown, name) for name in _FILES}
        if not found["params"]:
            found["params"] = _params(self._content(shown, "generation_config.json"))
        return (Text(_FILES[name], ViewText(text, mtime_ns)) for name, text in found.items() if text)

    def _content(self, shown: Shown, name: str) -> bytes:
        """A small source file of a model; nothing where there is none."""
        folder = ModelFolder(shown.source)
        found = self._stored.find(folder, name)
        if found is None or not stat.S_ISREG(found.st_mode) or found.st_size > _TEXT_SIZE:
            return b""
        try:
            with SourceHandle(0, self._stored.at(folder, name), (found.st_dev, found.st_ino)) as handle:
                return handle.read(0, _TEXT_SIZE)
        except OSError:
            return b""

    def _facts_of(self, shown: Shown, weights: Weights) -> Facts:
        """What one of a model's GGUFs says, good for all of them."""
        key = shown, weights.node.version
        facts = self._facts.get(key)
        if facts is None:
            if len(self._facts) >= _FACTS_KEPT:
                self._facts.clear()
            facts = self._facts[key] = facts_of(self._head(shown, weights.planned.entry))
        return facts

    def _head(self, shown: Shown, entry: Entry) -> bytes:
        """The first bytes of a form, as far as its plan holds them."""
        try:
            segments = self._planner.layout(shown.source.path, entry.name).segments
        except (PrismError, TranslationError, OSError):
            return b""
        head = b""
        for segment in segments:
            if not isinstance(segment, LiteralBytes) or len(head) >= _HEAD_SIZE:
                break
            head += segment.data[: _HEAD_SIZE - len(head)]
        return head


def manifest(weights: Weights, projector: Weights | None, texts: Sequence[Text]) -> ViewText:
    """The manifest of an image of these blobs."""
    config, *layers = texts
    told = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _reference(_CONFIG, config.digest, len(config.node.text)),
        "layers": [
            *(
                _reference(_LAYER + kind, each.digest, each.planned.entry.size)
                for kind, each in (("model", weights), ("projector", projector))
                if each is not None
            ),
            *(_reference(_LAYER + each.kind, each.digest, len(each.node.text)) for each in layers),
        ],
    }
    return ViewText(_json(told), weights.planned.forms.mtime_ns)


def _reference(kind: str, digest: str, size: int) -> dict[str, object]:
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": size}


def _params(generation_config: bytes) -> bytes:
    """What Ollama calls the sampling that a model's authors recommend; nothing where they sample not."""
    try:
        told = json.loads(generation_config or b"{}")
    except (ValueError, RecursionError):
        return b""
    if not isinstance(told, dict) or told.get("do_sample") is not True:
        return b""
    values = {theirs: told.get(ours) for ours, theirs in _SAMPLING.items()}
    numbers = {name: value for name, value in values.items() if type(value) in (int, float)}
    return _json(numbers) if numbers else b""


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
