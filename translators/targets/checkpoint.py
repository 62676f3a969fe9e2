"""A model as a Hugging Face checkpoint: what every format in Hugging Face names starts from.

    found = checkpoint(model, BF16)       # of any source
    found.tensors                         # name -> recipe, in that precision
    found.config, found.companions        # config.json; tokenizer, licence, ... as bytes or source files

Of a GGUF by its family's way back; of any other source its tensors are what they are called there, as if
nobody had quantised them. Where the precision is not asked for, it is the source's own.
Knows nothing of how a format lays tensors out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any

from translators.dtypes import DType
from translators.errors import Unsupported
from translators.families import family_of_gguf, to_huggingface
from translators.families.mistral_form import configured, no_way
from translators.families.pooling import pooling_files
from translators.layout import Layout, LiteralBytes
from translators.model import FileIdentity, Model
from translators.plan import Plan
from translators.quantised.configuration import MODELOPT
from translators.quantised.plain import plain
from translators.recipes import Recipe
from translators.sources import mistral
from translators.sources.modules import module_files
from translators.sources.recognise import INDEX_SUFFIX, INSIDE, PARAMS, is_weights
from translators.sources.side_files import TOKENIZER_FILES
from translators.sources.stored_file import identity_of
from translators.vocab.to_huggingface import huggingface_files

CONFIG = "config.json"
# What people put beside weights and a copy of the model should have. Code is copied as what it is, a file.
_ALONG = (".json", ".txt", ".md", ".model", ".jinja", ".tiktoken", ".py", ".v3", ".vocab")
_ALONG_NAMES = ("license", "notice", "usage_policy", "use_policy")
_LARGEST = 256 << 20
# What GPTQ's and ModelOpt's libraries say of weights that are quantised: none is, here.
_OF_QUANTISATION = (MODELOPT, "quantize_config.json")

Companion = bytes | FileIdentity


@dataclass(frozen=True)
class HuggingFace:
    """A model as a Hugging Face checkpoint.

    own:        the precision of the tensors that are floats.
    config:     config.json's content, {} where the source has none.
    tensors:    by name, in the order of the source.
    companions: every other file but weights: its content, or the source file that it is.
    """

    model: Model
    own: DType
    config: Mapping[str, Any]
    tensors: Mapping[str, Recipe]
    companions: Mapping[str, Companion]

    @property
    def files(self) -> tuple[FileIdentity, ...]:
        """What the tensors' extents index."""
        return self.model.files


def checkpoint(model: Model, dtype: DType | None = None) -> HuggingFace:
    """`model` in Hugging Face names, its floats in `dtype`, or as they are.

    Raises Unsupported (no way back from a GGUF, a kind of quantisation), MalformedSource, MissingSource.
    """
    if model.key_values is not None:
        own = dtype or to_huggingface.own_dtype(model)
        config = to_huggingface.config(model, own)
        generation = to_huggingface.generation_config(model, config)
        companions: dict[str, Companion] = {"generation_config.json": in_json(generation)}
        companions |= huggingface_files(model.key_values)
        pooling = pooling_files(model.key_values)
        companions |= {name: in_json(content) for name, content in pooling.items()}
        if model.format == mistral.FORMAT:
            config = configured(config)
            beside_it = dict(_companions(model.root))
            companions |= {name: file for name, file in beside_it.items() if name != PARAMS}
        return HuggingFace(model, own, config, dict(to_huggingface.weights(model, own)), companions)
    found = plain(model, dtype)
    beside: dict[str, Companion | None] = {**_companions_of(model), **model.made}
    return HuggingFace(
        model, found.own, found.config, found.tensors,
        {name: content for name, content in beside.items() if content is not None and name != CONFIG},
    )  # fmt: skip


def refused(model: Model) -> str:
    """Why the model is no Hugging Face folder with a configuration; "" where it is. Cheap: for listings."""
    if model.key_values is not None:
        try:
            family_of_gguf(model)
        except Unsupported as error:
            return error.reason
        return ""
    if model.format == mistral.FORMAT:
        return no_way(model)
    if model.unrenamed is not None:
        return model.unrenamed.stated
    return "" if model.config else "there is no config.json"


def in_json(content: object) -> bytes:
    """A JSON file as transformers writes them."""
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def companion_plans(found: HuggingFace, folder: str) -> Iterator[Plan]:
    """config.json and the companions, as files of the directory `folder`."""
    files: dict[str, Companion] = {CONFIG: in_json(found.config), **found.companions}
    for name, content in files.items():
        if isinstance(content, bytes):
            make = partial(literal, found.files, content)
            yield Plan(f"{folder}/{name}", "made of the source's configuration", make)
        else:
            yield Plan(f"{folder}/{name}", "the source's own file", partial(Layout.whole, content, name))


def made_plans(model: Model) -> Iterator[Plan]:
    """The side files that the source has in a form of its own, beside the source's files."""
    for name, content in model.made.items():
        if content is not None:
            yield Plan(name, f"made of the {model.format} source", partial(literal, model.files, content))


def literal(files: tuple[FileIdentity, ...], data: bytes) -> Layout:
    """The layout of a file whose content was made from `files` while planning."""
    return Layout(files, (LiteralBytes(data),))


def _companions_of(model: Model) -> dict[str, Companion]:
    found = dict(_companions(model.root))
    if model.tokenizer is None:
        return found
    # One tokenizer, never the files of two.
    others = {name: file for name, file in found.items() if not _is_of_tokenizer(name)}
    own = {name: file for name, file in _companions(model.tokenizer) if _is_of_tokenizer(name)}
    return dict(sorted({**others, **own}.items()))


def _is_of_tokenizer(name: str) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in TOKENIZER_FILES)


def _companions(root: Path) -> Iterator[tuple[str, Companion]]:
    for directory in ("", *INSIDE):
        if not (root / directory).is_dir():
            continue
        for path in sorted((root / directory).iterdir()):
            name = f"{directory}/{path.name}" if directory else path.name
            if name != CONFIG and _goes_along(path.name) and path.is_file():
                file = identity_of(path)
                if file.size <= _LARGEST:
                    yield name, file
    for name in module_files(root):
        yield name, identity_of(root / name)


def _goes_along(name: str) -> bool:
    folded = name.lower()
    if name.startswith(".") or name in _OF_QUANTISATION or is_weights(name) or folded.endswith(INDEX_SUFFIX):
        return False
    return folded.endswith(_ALONG) or folded.startswith(_ALONG_NAMES)
