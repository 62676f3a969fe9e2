"""The styles of checkpoints whose tokenizer is a list of ranks and code of their own: Qwen-1, HunYuan, Kimi.

The code is not run. What it does is known for the three: which special tokens follow the ranks, and how text
is split first. That is proved on each checkpoint: its fingerprint must be one that llama.cpp knows.
Facts: the models' published tokenizers; `_set_vocab_qwen`, `HunYuanMoEModel`, `DeepseekV2Model` of llama.cpp.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from translators.errors import MissingSource, Unsupported
from translators.vocab import bpe
from translators.vocab.fast import FastTokenizer
from translators.vocab.plain import QWEN2_SPLIT
from translators.vocab.ranks import merges, read_ranks, shown
from translators.vocab.special import read_specials
from translators.vocab.tokens import Tokens, TokenType, checked_count
from translators.vocab.writing import Writing

_END = "<|endoftext|>"
_QWEN = (_END, "<|im_start|>", "<|im_end|>", *(f"<|extra_{at}|>" for at in range(205)))
_HUNYUAN = (_END, "<|startoftext|>", "<|bos|>", "<|eos|>", "<|pad|>")
_HUNYUAN_BOS, _HUNYUAN_7B_BOS, _HUNYUAN_7B_WIDTH = 127959, 127958, 4096
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_KIMI_SPLIT = (
    r"[\p{Han}]+"
    rf"|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}&&[^\p{{Han}}]]*[{_LOWER}&&[^\p{{Han}}]]+{_CONTRACTIONS}"
    rf"|[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}&&[^\p{{Han}}]]+[{_LOWER}&&[^\p{{Han}}]]*{_CONTRACTIONS}"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_KIMI_RESERVED = 258


@dataclass(frozen=True)
class _Ranked:
    """A vocabulary by ranks, ready to write."""

    tokens: Tokens
    pre: str
    merges: list[bytes]
    special: Mapping[str, int]


def _read(
    writing: Writing, name: str, split: str, special: Mapping[str, int], ranks: Mapping[bytes, int]
) -> _Ranked:
    path = writing.folder.shown("config.json")
    count = checked_count(writing.config.get("vocab_size"), path)
    texts = {rank: shown(token) for token, rank in ranks.items()}
    by_id = texts | {number: text for text, number in special.items()}
    pairs = [(shown(left), shown(right)) for left, right in merges(ranks)]
    tokens = Tokens([], [])
    for number in range(count):
        kind = TokenType.NORMAL if number in by_id else TokenType.UNUSED
        kind = TokenType.CONTROL if by_id.get(number) in special else kind
        tokens.texts.append(by_id.get(number, f"[PAD{number}]").encode())
        tokens.types.append(kind)
    backend = _tokenizer(writing, name, split, {text: rank for rank, text in texts.items()}, pairs)
    pre = bpe._pre_tokenizer(writing.folder, FastTokenizer(writing.folder, backend, (), None, False))
    return _Ranked(tokens, pre, [f"{left} {right}".encode() for left, right in pairs], special)


def _tokenizer(
    writing: Writing, name: str, split: str, vocabulary: dict[str, int], pairs: list[tuple[str, str]]
) -> Tokenizer:
    try:
        backend = Tokenizer(models.BPE(vocab=vocabulary, merges=pairs, ignore_merges=True))
    except Exception as error:
        raise writing.folder.malformed(name, f"its tokens make no vocabulary: {error}") from error
    steps = [
        pre_tokenizers.Split(Regex(split), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    backend.pre_tokenizer = pre_tokenizers.Sequence(steps)
    return backend


def qwen1(writing: Writing) -> None:
    """Qwen-1 and the first StableLM 2: ranks, then three named and 205 numbered special tokens."""
    name = _file(writing, "qwen.tiktoken", "arcade100k.tiktoken")
    if name != "qwen.tiktoken":
        raise Unsupported(
            "this tokenizer is code of the checkpoint's own", path=writing.folder.shown(name),
            remedy="use a later checkpoint, which has a tokenizer.json",
        )  # fmt: skip
    ranks = read_ranks(writing.folder, name)
    special = {text: len(ranks) + at for at, text in enumerate(_QWEN)}
    if len(ranks) + len(_QWEN) > checked_count(writing.config.get("vocab_size"), name):
        raise writing.folder.malformed(name, "there are more tokens than vocab_size says")
    ranked = _read(writing, name, QWEN2_SPLIT, special, ranks)
    if len(ranked.merges) != sum(len(token) > 1 for token in ranks):
        raise writing.folder.malformed(name, "a token is not made by one merge")
    writing.tokens("gpt2", ranked.pre, ranked.tokens)
    found = read_specials(writing.folder)
    if not found.ids:
        found.ids.update(bos=special[_END], eos=special[_END])
    found.ids.setdefault("unk", special[_END])
    writing.merges(ranked.merges)
    writing.found_specials(found)


def stablelm(writing: Writing) -> None:
    """StableLM: tokenizer.json, else as Qwen-1."""
    if writing.folder.has("tokenizer.json"):
        writing.byte_level()
    else:
        qwen1(writing)


def hunyuan_moe(writing: Writing) -> None:
    """HunYuan-A13B: ranks, five named special tokens, numbered ones; its bos is not config.json's."""
    _write(writing, _hunyuan(writing))
    writing.id("bos", _HUNYUAN_BOS)


def hunyuan_dense(writing: Writing) -> None:
    """The dense HunYuan models: tokenizer.json, else as HunYuan-A13B but with config.json's bos.

    Ends of texts and turns are corrected as upstream does: by eod_token_id, and by generation_config.json.
    """
    if writing.folder.has("tokenizer.json"):
        tokens, pre = bpe.byte_level(writing.folder, writing.config, writing.tokenizer)
        writing.tokens("gpt2", pre, tokens)
        pad = writing.folder.json("config.json").get("pad_token_id") or 0
        kinds = ("bos", "eos", "unk", "sep", *(("pad",) if pad >= 0 else ()), "cls", "mask")
        writing.specials(merges=True, kinds=kinds)
    else:
        _write(writing, _hunyuan(writing))
        if writing.config.get("hidden_size") == _HUNYUAN_7B_WIDTH:
            writing.id("bos", _HUNYUAN_7B_BOS)
    if (end := writing.config.get("eod_token_id")) is not None:
        writing.id("eos", _id(writing, "config.json", end))
    ends = writing.folder.json("generation_config.json").get("eos_token_id")
    if isinstance(ends, list) and len(ends) > 1:
        writing.id("eot", _id(writing, "generation_config.json", ends[0]))


def _id(writing: Writing, name: str, number: object) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 1 << 32:
        raise writing.folder.malformed(name, "no token's id")
    return number


def _hunyuan(writing: Writing) -> _Ranked:
    name = _file(writing, "hy.tiktoken")
    ranks = {token: at for at, token in enumerate(read_ranks(writing.folder, name))}
    count = checked_count(writing.config.get("vocab_size"), writing.folder.shown("config.json"))
    numbered = count - len(ranks) - len(_HUNYUAN)
    if not 0 <= numbered <= 1024:
        raise writing.folder.malformed(name, f"{len(ranks):,} ranks do not fit {count:,} tokens")
    texts = (*_HUNYUAN, *(f"<|extra_{at}|>" for at in range(numbered)))
    special = {text: len(ranks) + at for at, text in enumerate(texts)}
    return _read(writing, name, QWEN2_SPLIT, special, ranks)


def deepseek2(writing: Writing) -> None:
    """DeepSeek V2 and V3: byte-level BPE; Kimi K2 and Moonlight: ranks, named in tokenizer_config.json."""
    if writing.folder.has("tokenizer.json") or not writing.folder.has("tiktoken.model"):
        writing.byte_level()
    else:
        _write(writing, _kimi(writing))


def kimi_linear(writing: Writing) -> None:
    """Kimi-Linear: as Kimi K2, with the tokenizer's own eos."""
    if writing.folder.has("tokenizer.json") or not writing.folder.has("tiktoken.model"):
        writing.byte_level()
        return
    ranked = _kimi(writing)
    _write(writing, ranked)
    eos = writing.folder.json("tokenizer_config.json").get("eos_token", "[EOS]")
    text = eos.get("content") if isinstance(eos, dict) else eos
    if not isinstance(text, str) or text not in ranked.special:
        raise writing.folder.malformed("tokenizer_config.json", f"there is no token {text!r}", "eos_token")
    writing.id("eos", ranked.special[text])


def _kimi(writing: Writing) -> _Ranked:
    name = "tiktoken.model"
    ranks = read_ranks(writing.folder, name)
    listed = writing.folder.json("tokenizer_config.json").get("added_tokens_decoder", {})
    try:
        named = {int(number): str(entry["content"]) for number, entry in listed.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise writing.folder.malformed("tokenizer_config.json", f"no added tokens: {error}") from error
    numbers = range(len(ranks), len(ranks) + _KIMI_RESERVED)
    special = {named.get(number, f"<|reserved_token_{number}|>"): number for number in numbers}
    return _read(writing, name, _KIMI_SPLIT, special, ranks)


def _write(writing: Writing, ranked: _Ranked) -> None:
    writing.tokens("gpt2", ranked.pre, ranked.tokens)
    writing.merges(ranked.merges)
    writing.specials()


def _file(writing: Writing, *names: str) -> str:
    for name in names:
        if writing.folder.has(name):
            return name
    raise MissingSource(
        f"neither tokenizer.json nor {names[0]}", path=str(writing.folder.root),
        remedy="fetch the tokenizer's files too",
    )  # fmt: skip
