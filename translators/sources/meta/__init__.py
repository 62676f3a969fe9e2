"""Meta's originals: `consolidated.NN.pth`, `params.json` and `tokenizer.model`, as Hugging Face's directory.

    model = meta.read(Path("Llama-2-7b"), ["consolidated.00.pth"], "Llama-2-7b")

Tensors come as transformers' own converters name and arrange them, each a recipe over the shards where they
lie; config.json, generation_config.json and the tokenizer's files are made (`Model.made`). What of these lies
there already is taken as it is. Llama 1's tokenizer.model lies one directory further up.
The order of tensors is that of one file of safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from translators.model import FileIdentity, Model, SourceTensor
from translators.recipes import Derived, Recipe
from translators.sources.meta import configuration
from translators.sources.meta.dense import EMBEDDINGS, HEAD, dense_tensors
from translators.sources.meta.experts import TEXT, expert_tensors
from translators.sources.meta.params import NAME, Params, params_of
from translators.sources.meta.shards import Shards, read_shards
from translators.sources.side_files import config_of, is_there, side_files
from translators.sources.stored_file import StoredFile, identity_of
from translators.vocab import originals
from translators.vocab.folder import Folder

__all__ = ["read"]

_LARGEST = 64 << 20


def read(root: Path, files: Sequence[str], name: str) -> Model:
    """The checkpoint that `files` of the directory `root` make.

    Raises MalformedSource, MissingSource, or Unsupported (a tensor or a form of weights not known here).
    """
    params = params_of(root)
    shards = read_shards(root, files)
    four = configuration.is_llama4(params)
    tensors = expert_tensors(shards, params) if four else dense_tensors(shards, params)
    tied = not four and _tied(shards)
    if tied:
        tensors.pop("lm_head.weight", None)
    if four and not any(each.startswith("vision_model.") for each in tensors):
        tensors = {each.removeprefix(TEXT): recipe for each, recipe in tensors.items()}
    tensors = dict(sorted(tensors.items()))
    made, config, beside = _side_files(root, params, tensors, tied, name)
    derived: dict[str, SourceTensor] = {each: Derived(each, recipe) for each, recipe in tensors.items()}
    return Model(
        root=root,
        name=name,
        format="meta",
        files=(*shards.files, *side_files(root), *beside),
        weights=shards.count,
        tensors=derived,
        config=config,
        made=made,
    )


def _side_files(
    root: Path, params: Params, tensors: Mapping[str, Recipe], tied: bool, name: str
) -> tuple[dict[str, bytes | None], dict[str, Any], tuple[FileIdentity, ...]]:
    """The files that are made, config.json's content, and files of other directories that were read."""
    shapes = {each: recipe.shape for each, recipe in tensors.items()}
    embedded = next(each for each in tensors if each.endswith("embed_tokens.weight"))
    folder, beside = _with_tokenizer(root)
    data = folder.data(originals.MODEL) if folder.has(originals.MODEL) else b""
    ranks = originals.is_ranks(data)
    release = configuration.release(params, name, ranks=ranks, tokens=shapes[embedded][0], tied=tied)
    original = _tokenizer(folder, release, ranks) if data else None
    special = configuration.tokens_of(release, original)
    told = configuration.Described(params, release, shapes, tensors[embedded].dtype, special, tied)
    config = configuration.config_of(told)
    made: dict[str, bytes | None] = {NAME: None}
    if original is not None:
        made |= original.files
        if ranks:
            made[originals.MODEL] = None
        elif beside:
            made[originals.MODEL] = data
        made["generation_config.json"] = _json(configuration.generation(special))
    if "vision_config" in config:
        made["preprocessor_config.json"] = _json(configuration.preprocessing(params))
    made["config.json"] = _json(config)
    made = {
        each: content for each, content in made.items() if content is None or not is_there(str(root / each))
    }
    return made, config if "config.json" in made else config_of(root), beside


def _tokenizer(folder: Folder, release: configuration.Release, ranks: bool) -> originals.Original:
    if ranks:
        return originals.of_ranks(folder, release.ranks or originals.LLAMA3, release.context, release.chat)
    return originals.of_pieces(folder, release.context, release.chat)


def _with_tokenizer(root: Path) -> tuple[Folder, tuple[FileIdentity, ...]]:
    """The directory with its tokenizer.model, be it that of the directory above; and what was read there."""
    above = root.absolute().parent / originals.MODEL
    if is_there(str(root / originals.MODEL)) or not above.is_file():
        return Folder(root), ()
    with StoredFile(above) as file:
        if file.size > _LARGEST:
            raise file.malformed(f"{file.size:,} bytes are too many for a tokenizer")
        return Folder(root, {originals.MODEL: file.read(0, file.size)}), (identity_of(above),)


def _tied(shards: Shards) -> bool:
    """Whether the output is the embeddings once more, or is not there, as told by some of their bytes."""
    first = shards.tensors[0]
    head, embedded = first.get(HEAD), first.get(EMBEDDINGS)
    if head is None:
        return True
    return embedded is not None and shards.alike(head, embedded)


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2) + "\n").encode()
