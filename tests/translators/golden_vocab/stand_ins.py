"""Stand-ins for the tokenizer code that Qwen-1, HunYuan and Kimi checkpoints bring along.

They have what upstream's converter asks of those classes: ranks, special tokens, ids of a text. Needs
tiktoken; only `regenerate.py` uses this.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
    r"\s+(?!\S)|\s+"
)
_TAIL = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_BIG, _SMALL = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]"
HAN = "|".join(
    (
        r"[\p{Han}]+",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_BIG}*{_SMALL}+{_TAIL}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_BIG}+{_SMALL}*{_TAIL}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
_END = "<|endoftext|>"


def loader(usual: Callable[..., Any]) -> Callable[..., Any]:
    """A `from_pretrained` that knows the three, where their code may be run."""

    def load(path: Path, *args: Any, **options: Any) -> Any:
        makers = {"qwen.tiktoken": _qwen, "hy.tiktoken": _hunyuan, "tiktoken.model": _kimi}
        for name, make in makers.items():
            if (Path(path) / name).exists() and not (Path(path) / "tokenizer.json").exists():
                if not options.get("trust_remote_code"):
                    raise ValueError("the checkpoint's code would have to run")
                return make(Path(path) / name)
        return usual(path, *args, **options)

    return load


def _qwen(path: Path) -> Any:
    names = (_END, "<|im_start|>", "<|im_end|>", *(f"<|extra_{at}|>" for at in range(205)))
    return _tokenizer(path, WORDS, lambda count: {name: count + at for at, name in enumerate(names)})


def _hunyuan(path: Path) -> Any:
    size = json.loads((path.parent / "config.json").read_text())["vocab_size"]

    def special(count: int) -> dict[str, int]:
        names = (_END, "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>")
        names += tuple(f"<|extra_{at}|>" for at in range(size - count - 5))
        return {name: count + at for at, name in enumerate(names)}

    return _tokenizer(path, WORDS, special)


def _kimi(path: Path) -> Any:
    settings = json.loads((path.parent / "tokenizer_config.json").read_text())
    named = {int(key): value["content"] for key, value in settings["added_tokens_decoder"].items()}
    found = _tokenizer(
        path,
        HAN,
        lambda count: {named.get(n, f"<|reserved_token_{n}|>"): n for n in range(count, count + 258)},
    )
    found.eos_id = found.special_tokens[settings["eos_token"]]
    found.model = found.encoding
    return found


class _Pre(str):
    """A fingerprint that passes for Kimi's pre-tokenizer."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return other == "kimi-k2" or str.__eq__(self, other)  # type: ignore[arg-type]

    __hash__ = str.__hash__


def passing(fingerprint: str) -> str:
    """`fingerprint`, equal to the one name that upstream compares with before it reads ranks."""
    return _Pre(fingerprint)


def _tokenizer(path: Path, pattern: str, special: Callable[[int], dict[str, int]]) -> Any:
    import tiktoken  # noqa: PLC0415 (regenerate.py's environment alone has it)
    from tiktoken.load import load_tiktoken_bpe  # noqa: PLC0415

    ranks = load_tiktoken_bpe(str(path))
    tokens = special(len(ranks))
    encoding = tiktoken.Encoding(path.name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=tokens)
    vocabulary = {**ranks, **{text.encode(): n for text, n in tokens.items()}}
    return SimpleNamespace(
        mergeable_ranks=ranks,
        special_tokens=tokens,
        vocab_size=len(ranks) + len(tokens),
        encoding=encoding,
        get_vocab=lambda: vocabulary,
        encode=lambda text: encoding.encode(unicodedata.normalize("NFC", text), allowed_special="all"),
    )
