"""Side files: what a checkpoint's directory holds beside its weights, as far as a target reads it.

`SIDE_FILES` is the one list of them. Their identities are part of a model's, so that a new chat template
or a corrected config.json gives new layouts. JSON is read here with a limit of size and of depth.
Knows nothing of what is in them: `families/` and `vocab/` do.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Collection, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from translators.model import FileIdentity
from translators.sources.modules import MODULES, module_files
from translators.sources.stored_file import FETCH_AGAIN, StoredFile, identity_of

# What upstream's converter reads for the families here (its conversion/, gguf-py's vocab.py and metadata.py).
SIDE_FILES = (
    "config.json",
    "generation_config.json",
    "params.json",
    "tokenizer.json",
    "tokenizer.model",
    "*.model.v*",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tiktoken.model",
    "*.tiktoken",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "tekken.json",
    "chat_template.jinja",
    "chat_template.json",
    "additional_chat_templates/*.jinja",
    "modules.json",
    "*_Pooling/config.json",
    "sentence_bert_config.json",
    "preprocessor_config.json",
    "processor_config.json",
    "hf_quant_config.json",
    "quantize_config.json",
    "README.md",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
)

# Of these, what makes a tokenizer; a directory with one of `VOCABULARIES` has a tokenizer of its own.
VOCABULARIES = (
    "tokenizer.json", "tokenizer.model", "sentencepiece.bpe.model", "spiece.model", "tiktoken.model",
    "vocab.json", "vocab.txt", "tekken.json",
)  # fmt: skip
TOKENIZER_FILES = (
    *VOCABULARIES, "*.model.v*", "*.tiktoken", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "merges.txt", "chat_template.jinja", "chat_template.json",
    "additional_chat_templates/*.jinja",
)  # fmt: skip

# Python's parser can take fifty bytes of memory for one of hostile JSON; a real config.json has some kB.
JSON_LIMIT = 16_000_000
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})


def side_files(root: Path, patterns: Sequence[str] = SIDE_FILES) -> tuple[FileIdentity, ...]:
    """The identities of the side files that `root` has, in the order of the list. Raises MissingSource.

    Of all of them, not of some patterns, the files of the modules that it names as well.
    """
    names = os.listdir(root)  # noqa: PTH208  (as all here: pathlib's takes several times as long)
    paths = [root / found for pattern in patterns for found in _matching(root, names, pattern)]
    if patterns is SIDE_FILES and MODULES in names:
        paths += [root / name for name in module_files(root)]
    return tuple(identity_of(path) for path in dict.fromkeys(paths))


def _matching(root: Path, names: Collection[str], pattern: str) -> Sequence[str | Path]:
    """What a pattern means in `root`, which has these names; a link to nowhere is there."""
    first = pattern.partition("/")[0]
    if "*" not in first and not is_there(os.path.join(root, first)):
        return ()
    if "*" not in pattern:
        return (pattern,)
    if "*" in first and not any(fnmatchcase(name, first) for name in names):
        return ()
    return sorted(root.glob(pattern))


def is_there(path: str) -> bool:
    """Whether there is such an entry, also one that leads nowhere. Raises OSError where it is not told."""
    try:
        os.lstat(path)
    except OSError as error:
        if error.errno in _ABSENT:
            return False
        raise
    return True


def json_object(path: Path) -> dict[str, Any]:
    """The object that a JSON file holds, as Python's json reads it (a repeated key: its last value).

    Raises MissingSource, or MalformedSource for anything that is not an object in UTF-8 of at most
    `JSON_LIMIT` bytes.
    """
    with StoredFile(path) as file:
        if file.size > JSON_LIMIT:
            raise file.malformed(f"{file.size:,} bytes are too many for such a file")
        data = file.read(0, file.size)
        try:
            value = json.loads(data.decode("utf-8"))
        except json.JSONDecodeError as error:
            place = f"line {error.lineno}, column {error.colno}"
            raise file.malformed(f"no valid JSON: {error.msg}", place) from error
        except UnicodeDecodeError as error:
            raise file.malformed("no valid UTF-8", f"byte {error.start:,}") from error
        except (ValueError, RecursionError) as error:
            raise file.malformed("no usable JSON: a number or its nesting is beyond all measure") from error
        if not isinstance(value, dict):
            raise file.malformed("no JSON object", remedy=FETCH_AGAIN)
        return value


def config_of(root: Path) -> dict[str, Any]:
    """config.json of a directory, or {} where there is none. Raises what `json_object` raises."""
    path = root / "config.json"
    return json_object(path) if is_there(str(path)) else {}


def modelopt_of(root: Path) -> dict[str, Any]:
    """hf_quant_config.json of a directory, or {} where there is none. Raises what `json_object` raises."""
    path = root / "hf_quant_config.json"
    return json_object(path) if path.is_file() else {}
