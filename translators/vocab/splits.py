"""How llama.cpp's named pre-tokenizers split text, as the `pre_tokenizer` of a tokenizer.json.

Each name stands for a list of regular expressions, applied one after another: what matches and what lies
between matches become pieces of their own. A tokenizer.json says the same with `Split` steps and a final
`ByteLevel`. Where the model that a name comes from has published another form with the same splits
(`Digits`, the expression built into `ByteLevel`, a case-insensitive group), that form is used. Facts:
`llm_tokenizer_bpe` of llama.cpp b11434. Names that need code of llama.cpp's own (kimi-k2, afmoe), or are
not byte-level (gemma4 and its kin), are left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_LATIN = (
    "A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅ"
    "ὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbeῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇ"
    "Ꞌ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"
)


def _words(digits: str, *, letters: str = r"\p{L}", others: str = r"\s\p{L}\p{N}") -> str:
    """The expression of Llama 3 and its many relatives, which differ in how digits are grouped."""
    contractions = f"{_CONTRACTIONS}|"
    return rf"{contractions}[^\r\n\p{{L}}\p{{N}}]?{letters}+|{digits}| ?[^{others}]+[\r\n]*|{_SPACES}"


def _cased(digits: str, ending: str) -> str:
    """The expression of GPT-4o and Tekken: a word is capitals then small letters."""
    upper, lower = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
    start = r"[^\r\n\p{L}\p{N}]?"
    return (
        rf"{start}{upper}*{lower}+{ending}|{start}{upper}+{lower}*{ending}|{digits}"
        rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
    )


_DEEPSEEK_V3 = (
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"""
    rf" ?[\p{{P}}\p{{S}}]+[\r\n]*|{_SPACES}",
)
_GPT2_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)"
_BLOOM = r" ?[^(\s|.,!?…。，、।۔،)]+"


@dataclass(frozen=True)
class Split:
    """One way to split.

    expressions:   applied in this order.
    single_digits: every digit alone, before them.
    gpt2:          the expression that `ByteLevel` has built in, after them.
    composed:      text is brought to Unicode's form NFC first, as the model's own tokenizer does.
    whole_words:   a piece that is a token stays one, whatever the merges say (`ignore_merges`).
    adds_bos:      what holds where a GGUF does not say whether the bos token is added.
    """

    expressions: tuple[str, ...] = ()
    single_digits: bool = False
    gpt2: bool = False
    composed: bool = False
    whole_words: bool = False
    adds_bos: bool = False

    @property
    def normalizer(self) -> dict[str, Any] | None:
        """The `normalizer` of a tokenizer.json."""
        return {"type": "NFC"} if self.composed else None

    @property
    def pre_tokenizer(self) -> dict[str, Any]:
        """The `pre_tokenizer` of a tokenizer.json."""
        steps: list[dict[str, Any]] = []
        if self.single_digits:
            steps.append({"type": "Digits", "individual_digits": True})
        steps += [
            {"type": "Split", "pattern": {"Regex": text}, "behavior": "Isolated", "invert": False}
            for text in self.expressions
        ]
        last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": self.gpt2}
        return {"type": "Sequence", "pretokenizers": [*steps, last]} if steps else last


_GPT2 = Split(gpt2=True)
_GPT2_COMPOSED = Split(gpt2=True, composed=True)
_DIGITS = Split(gpt2=True, single_digits=True)
_LLAMA3 = Split((_words(r"\p{N}{1,3}"),), whole_words=True, adds_bos=True)
_QWEN2 = Split((_words(r"\p{N}"),), composed=True)
_GPT4O = Split((_cased(r"\p{N}{1,3}", f"{_CONTRACTIONS}?"),))

_GROUPS: tuple[tuple[str, Split], ...] = (
    ("gpt-2 phi-2 mellum modern-bert gigachat a.x-4.0 exaone4 jais trillion granite-docling", _GPT2),
    ("jina-es jina-de jina-v2-es jina-v2-de jina-v1-en jina-v2-code roberta-bpe", _GPT2),
    ("mpt olmo", _GPT2_COMPOSED),
    ("smollm starcoder refact codeshell exaone minerva-7b mellum2", _DIGITS),
    ("command-r", Split(gpt2=True, single_digits=True, composed=True)),
    ("llama-bpe llama3 llama-v3 falcon3 falcon-h1 pixtral midm-2.0 lfm2 jina-v5-nano", _LLAMA3),
    ("dbrx smaug-bpe chatglm-bpe", Split((_words(r"\p{N}{1,3}"),))),
    ("glm4 glm5", Split((_words(r"\p{N}{1,3}"),), whole_words=True)),
    ("qwen2 deepseek-r1-qwen megrez", _QWEN2),
    ("stablelm2 hunyuan solar-open grok-2 kormo f2llmv2", Split((_words(r"\p{N}"),))),
    (
        "qwen35",
        Split((_words(r"\p{N}", letters=r"[\p{L}\p{M}]", others=r"\s\p{L}\p{M}\p{N}"),), composed=True),
    ),
    ("tekken", Split((_cased(r"\p{N}", ""),), whole_words=True, adds_bos=True)),
    ("gpt-4o llama4 kanana2 minimax-m2", _GPT4O),
    (
        "deepseek-llm",
        Split(
            (
                "[\r\n]", rf"\s?[{_LATIN}]+", r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$",
                "[一-龥ࠀ-一가-퟿]+", r"\p{N}+",
            )
        ),
    ),
    ("deepseek-coder", Split(("[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"))),
    ("deepseek-v3 hunyuan-dense joyai-llm hy_v4", Split(_DEEPSEEK_V3)),
    ("falcon", Split((r"[\p{P}\$\+<=>\^~\|`]+", _GPT2_WORDS, "[0-9][0-9][0-9]"))),
    ("default", Split((r"[\p{P}\$\+<=>\^~\|]+", _GPT2_WORDS, r"\p{N}+", "[0-9][0-9][0-9]"))),
    ("poro-chat bloom gpt3-finnish", Split((_BLOOM,))),
    ("viking", Split((_BLOOM, r"\p{N}"))),
)  # fmt: skip

SPLITS = {name: split for names, split in _GROUPS for name in names.split()}
"""By the name in `tokenizer.ggml.pre`."""
