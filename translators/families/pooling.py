"""Embedding models and rerankers of the Qwen families: what a GGUF says of their output.

sentence-transformers describes an embedding model in modules.json and the pooling module's own config.json.
A Qwen3 reranker is known by its card, its directory's name or its class, and answers yes or no.
Rules: llama.cpp b11434, conversion/base.py (_try_set_pooling_type) and qwen.py (Qwen3Model).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from translators.errors import Unsupported
from translators.keyvalues import KeyValues, ValueType
from translators.sources.stored_file import StoredFile

_MEAN, _CLS, _LAST, _RANK = 1, 2, 3, 4  # llama.cpp's llama_pooling_type
_FLAGS = {"pooling_mode_mean_tokens": _MEAN, "pooling_mode_cls_token": _CLS, "pooling_mode_lasttoken": _LAST}
_MODES = {"mean": _MEAN, "cls": _CLS, "lasttoken": _LAST}
_FOLDER = "1_Pooling"
_LIMIT = 10_000_000
_HINTS = ("qwen3-reranker", "qwen3-vl-reranker")
# The prompt that Qwen3's rerankers were trained on, as upstream stores it.
_RANK_TEMPLATE = (
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the "
    'Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>\n'
    "<|im_start|>user\n<Instruct>: Given a web search query, retrieve relevant passages that answer the "
    "query\n<Query>: {query}\n<Document>: {document}<|im_end|>\n"
    "<|im_start|>assistant\n<think>\n\n</think>\n\n"
)


def write_qwen_pooling(kv: KeyValues, root: Path, config: Mapping[str, Any], arch: str | None = None) -> None:
    """Append `{arch}.pooling_type` where modules.json names a pooling module.

    arch: that of `general.architecture` unless given. config: its `classifier_pooling` is told as well.
    Raises Unsupported for another pooling than of the mean, the first or the last token; MalformedSource or
    MissingSource for the two files.
    """
    arch = kv.get("general.architecture", "") if arch is None else arch
    folder = _pooling_folder(root / "modules.json")
    if folder is not None:
        path = root / folder / "config.json"
        pooling = _json(path)
        if not isinstance(pooling, dict):
            raise Unsupported("no JSON object", path=str(path))
        kv.u32(f"{arch}.pooling_type", _pooling_type(pooling, str(path)))
    if (before := config.get("classifier_pooling")) is not None:
        if before not in ("cls", "mean"):
            raise Unsupported("only mean and cls can be told", path="config.json", place="classifier_pooling")
        kv.u32(f"{arch}.classifier.pooling_type", _MODES[before])


def pooling_files(kv: KeyValues) -> dict[str, Any]:
    """The way back: modules.json and the pooling module's config.json, by their paths.

    None where the GGUF tells no pooling, or one that sentence-transformers has no module for. What else such
    a folder may ask for (that vectors are normalised, prompts) a GGUF does not hold.
    """
    arch = kv.get("general.architecture", "")
    kind, width = kv.get(f"{arch}.pooling_type"), kv.get(f"{arch}.embedding_length")
    if kind not in _FLAGS.values() or not isinstance(width, int):
        return {}
    module = "sentence_transformers.models."
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": f"{module}Transformer"},
        {"idx": 1, "name": "1", "path": _FOLDER, "type": f"{module}Pooling"},
    ]
    flags = {flag: number == kind for flag, number in _FLAGS.items()}
    return {
        "modules.json": modules,
        f"{_FOLDER}/config.json": {"word_embedding_dimension": width, **flags},
    }


def is_qwen3_reranker(root: Path, name: str, config: Mapping[str, Any]) -> bool:
    """Whether upstream takes a Qwen3 checkpoint for a reranker, whose head it cuts to two rows.

    name: the directory's. Raises MissingSource for a README.md that cannot be read.
    """
    architectures = config.get("architectures") or [""]
    first = architectures[0] if isinstance(architectures, list) else ""
    hints = [str(hint or "").lower() for hint in (name, config.get("model_type"), first)]
    if any(hint in told for hint in _HINTS for told in hints) or "sequenceclassification" in hints[-1]:
        return True
    path = root / "README.md"
    if not path.is_file():
        return False
    with StoredFile(path) as file:
        text = file.read(0, min(file.size, _LIMIT)).decode("utf-8", "replace").lower()
    return any(f"# {hint}" in text for hint in _HINTS)


def write_qwen3_reranker(kv: KeyValues, arch: str = "qwen3") -> None:
    """Append (or set anew) what a reranker has besides: rank pooling, its two labels, and its prompt."""
    kv.u32(f"{arch}.pooling_type", _RANK)
    kv.array(f"{arch}.classifier.output_labels", ValueType.STRING, ["yes", "no"])
    kv.string("tokenizer.chat_template.rerank", _RANK_TEMPLATE)
    kv.array("tokenizer.chat_templates", ValueType.STRING, ["rerank"])


def _pooling_folder(path: Path) -> PurePosixPath | None:
    """The folder of the first pooling module, which must lie inside the model's directory."""
    if not path.is_file():
        return None
    modules = _json(path)
    for module in modules if isinstance(modules, list) else ():
        kind, folder = (module.get("type"), module.get("path")) if isinstance(module, dict) else (None, None)
        if not isinstance(kind, str) or not kind.endswith("Pooling"):
            continue
        inside = PurePosixPath(folder) if isinstance(folder, str) else PurePosixPath("/")
        if inside.is_absolute() or ".." in inside.parts or "\0" in str(inside):
            raise Unsupported("a pooling module outside of the model's directory", path=str(path))
        return inside
    return None


def _pooling_type(pooling: Mapping[str, Any], path: str) -> int:
    number = next((number for flag, number in _FLAGS.items() if pooling.get(flag)), None)
    mode = pooling.get("pooling_mode")
    if number is None and isinstance(mode, str):
        number = _MODES.get(mode)
    if number is None:
        raise Unsupported("only pooling of the mean, first or last token has a number in GGUF", path=path)
    return number


def _json(path: Path) -> Any:
    with StoredFile(path) as file:
        if file.size > _LIMIT:
            raise file.malformed(f"{file.size:,} bytes are too many for such a file")
        try:
            return json.loads(file.read(0, file.size).decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise file.malformed("no valid JSON") from error
