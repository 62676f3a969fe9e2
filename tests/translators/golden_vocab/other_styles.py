"""Made-up tokenizer directories of encoders, of rank files and in Mistral's own format, as in `styles`.

Only the standard library is used, for `regenerate.py` runs this with upstream's own environment.
"""

from __future__ import annotations

from typing import Any

from tests import tiny_tokenizers
from tests.translators.golden_vocab import kinds
from tests.translators.golden_vocab.parts import END, FAST, added, byte_level
from tests.translators.golden_vocab.variant import Variant


def _fast(settings: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {"tokenizer.json": byte_level(**changes), "tokenizer_config.json": settings or FAST}


_BERT = {
    "tokenizer_class": "BertTokenizer",
    "do_lower_case": True,
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "mask_token": "[MASK]",
}
_WORDS = {"vocab_size": 24, "type_vocab_size": 2}
_JSON = {"tokenizer.json": kinds.wordpiece(), "tokenizer_config.json": _BERT}
_UNIGRAM = {"vocab_size": kinds.UNIGRAM_SIZE + 4, "type_vocab_size": 1, "pad_token_id": 1, "bos_token_id": 0}
_XLMR = {
    "tokenizer_class": "XLMRobertaTokenizer",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "unk_token": "<unk>",
    "cls_token": "<s>",
    "sep_token": "</s>",
    "pad_token": "<pad>",
    "mask_token": "<mask>",
    "clean_up_tokenization_spaces": True,
}
_ROBERTA = {
    "type": "RobertaProcessing",
    "sep": [END, 265],
    "cls": ["<|im_start|>", 266],
    "trim_offsets": True,
    "add_prefix_space": False,
}
_ENCODERS = {
    "bert": Variant(_JSON, _WORDS, style="bert"),
    "bert-no-settings": Variant({"tokenizer.json": kinds.wordpiece()}, _WORDS, style="bert"),
    "bert-cased": Variant(
        {**_JSON, "tokenizer_config.json": {**_BERT, "do_lower_case": False, "strip_accents": False}},
        _WORDS,
        style="bert",
    ),
    "bert-chinese": Variant(
        {**_JSON, "tokenizer_config.json": {**_BERT, "tokenize_chinese_chars": False}}, _WORDS, style="bert"
    ),
    "bert-distil": Variant(
        {**_JSON, "tokenizer_config.json": {"tokenizer_class": "DistilBertTokenizer"}}, _WORDS, style="bert"
    ),
    "bert-mpnet": Variant(
        {**_JSON, "tokenizer_config.json": {"tokenizer_class": "MPNetTokenizer", "do_lower_case": False}},
        {"vocab_size": 40, "type_vocab_size": 1},
        style="bert",
    ),
    "bert-words": Variant(
        {"vocab.txt": kinds.vocab_txt(), "tokenizer_config.json": _BERT}, _WORDS, style="bert"
    ),
    "bert-words-cased": Variant(
        {"vocab.txt": kinds.vocab_txt(), "tokenizer_config.json": {"do_lower_case": False}},
        _WORDS,
        style="bert",
    ),
    "bert-small": Variant(_JSON, {"vocab_size": 20, "type_vocab_size": 2}, style="bert"),
    "roberta": Variant(
        _fast({"tokenizer_class": "RobertaTokenizer", "mask_token": "<|im_start|>"}, post_processor=_ROBERTA),
        {"type_vocab_size": 1},
        style="roberta",
    ),
    "roberta-words": Variant(
        {"vocab.txt": kinds.vocab_txt(), "tokenizer_config.json": _BERT}, _WORDS, style="roberta"
    ),
    "jina": Variant(_JSON, _WORDS, style="jina-bert-v2"),
    "jina-code": Variant(
        _fast({"tokenizer_class": "RobertaTokenizer"}, post_processor=_ROBERTA), style="jina-bert-v2"
    ),
    "jina-whitespace": Variant(
        _fast({"tokenizer_class": "RobertaTokenizer"}, pre_tokenizer={"type": "Whitespace"}),
        style="jina-bert-v2",
    ),
    "jina-other": Variant(_fast({"tokenizer_class": "T5Tokenizer"}), style="jina-bert-v2"),
    "nomic": Variant(_JSON, _WORDS, style="nomic-bert"),
    "nomic-unigram": Variant(
        {"tokenizer.json": kinds.unigram_json(), "tokenizer_config.json": _XLMR}, _UNIGRAM, style="nomic-bert"
    ),
    "nomic-bpe": Variant(_fast(), style="nomic-bert"),
    "xlm-json": Variant(
        {"tokenizer.json": kinds.unigram_json(), "tokenizer_config.json": _XLMR},
        _UNIGRAM,
        style="xlm-roberta",
    ),
    "xlm-json-bare": Variant({"tokenizer.json": kinds.unigram_json()}, _UNIGRAM, style="xlm-roberta"),
    "xlm-json-added": Variant(
        {
            "tokenizer.json": kinds.unigram_json(),
            "tokenizer_config.json": {
                **_XLMR,
                "unk_token": "<s>",
                "additional_special_tokens": ["▁the", "<x>"],
            },
        },
        _UNIGRAM,
        style="xlm-roberta",
    ),
    "xlm-json-prefix": Variant(
        {
            "tokenizer.json": kinds.unigram_json(),
            "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "add_prefix_space": True},
        },
        {**_UNIGRAM, "vocab_size": 10},
        style="xlm-roberta",
    ),
    "xlm-json-no-table": Variant(
        {"tokenizer.json": kinds.unigram_json(normalizer=None), "tokenizer_config.json": _XLMR},
        _UNIGRAM,
        style="xlm-roberta",
    ),
    "xlm-json-dict": Variant(
        {
            "tokenizer.json": kinds.unigram_json(),
            "tokenizer_config.json": {**_XLMR, "unk_token": {"__type": "AddedToken", **added("<unk>")}},
        },
        _UNIGRAM,
        style="xlm-roberta",
    ),
    "xlm-spm": Variant(
        {"sentencepiece.bpe.model": kinds.unigram(), "tokenizer_config.json": _XLMR},
        _UNIGRAM,
        style="xlm-roberta",
    ),
    "xlm-spm-both": Variant(
        {
            "sentencepiece.bpe.model": kinds.unigram(prefix=0, spaces=0, characters=b""),
            "tokenizer.json": kinds.unigram_json(),
            "tokenizer_config.json": _XLMR,
        },
        {**_UNIGRAM, "vocab_size": 3},
        style="xlm-roberta",
    ),
    "xlm-spm-bpe": Variant({"sentencepiece.bpe.model": kinds.unigram(kind=2)}, _UNIGRAM, style="xlm-roberta"),
    "xlm-nothing": Variant({}, _UNIGRAM, style="xlm-roberta"),
    "t5": Variant({"spiece.model": kinds.unigram()}, {"vocab_size": 70}, style="t5"),
    "t5-model": Variant(
        {
            "tokenizer.model": kinds.unigram(characters=b"", spaces=0),
            "spiece.model": b"",
            "added_tokens.json": {"<extra_id_0>": 61, "<far>": 99},
            "tokenizer_config.json": {"eos_token": "</s>", "pad_token": "<pad>"},
        },
        {"vocab_size": 64, "eos_token_id": 1, "pad_token_id": 0},
        style="t5",
    ),
    "t5-fewer": Variant({"spiece.model": kinds.unigram()}, {"vocab_size": 59}, style="t5"),
    "t5-bpe-elsewhere": Variant({"spiece.model": kinds.unigram(kind=2)}, {"vocab_size": 70}, style="t5"),
    "t5-nothing": Variant({"tokenizer.json": kinds.unigram_json()}, {"vocab_size": 70}, style="t5"),
}

_RANKS = len(kinds.rank_tokens())
_CODE = {"tokenizer_class": "TikTokenTokenizer", "bos_token": "[BOS]", "eos_token": "[EOS]"}
_KIMI = {
    **_CODE,
    "added_tokens_decoder": {
        str(_RANKS): added("[BOS]", special=True),
        str(_RANKS + 1): added("[EOS]", special=True),
        str(_RANKS + 5): added("<|im_end|>", special=True),
    },
}
_RANKED = {
    "qwen1": Variant({"qwen.tiktoken": kinds.ranks()}, {"vocab_size": 500}, style="qwen1"),
    "qwen1-settings": Variant(
        {
            "qwen.tiktoken": kinds.ranks(),
            "tokenizer_config.json": {"tokenizer_class": "QWenTokenizer", "chat_template": "{{ x }}"},
        },
        {"vocab_size": 500, "eos_token_id": _RANKS, "pad_token_id": 3},
        style="qwen1",
    ),
    "qwen1-small": Variant({"qwen.tiktoken": kinds.ranks()}, {"vocab_size": 300}, style="qwen1"),
    "qwen1-unmade": Variant(
        {"qwen.tiktoken": kinds.ranks([*kinds.rank_tokens(), b"xyz"])}, {"vocab_size": 500}, style="qwen1"
    ),
    "stablelm-ranks": Variant({"qwen.tiktoken": kinds.ranks()}, {"vocab_size": 500}, style="stablelm"),
    "hunyuan-moe": Variant(
        {"hy.tiktoken": kinds.ranks(), "tokenizer_config.json": {"tokenizer_class": "HYTokenizer"}},
        {"vocab_size": _RANKS + 210, "bos_token_id": 1, "eos_token_id": _RANKS + 3},
        style="hunyuan-moe",
    ),
    "hunyuan-moe-unmade": Variant(
        {"hy.tiktoken": kinds.ranks([*kinds.rank_tokens(), b"xyz"])},
        {"vocab_size": _RANKS + 211},
        style="hunyuan-moe",
    ),
    "hunyuan-dense-7b": Variant(
        {"hy.tiktoken": kinds.ranks()},
        {"vocab_size": _RANKS + 209, "hidden_size": 4096},
        style="hunyuan-dense",
    ),
    "hunyuan-dense-ranks": Variant(
        {"hy.tiktoken": kinds.ranks()}, {"vocab_size": _RANKS + 210, "hidden_size": 64}, style="hunyuan-dense"
    ),
    "kimi-k2": Variant(
        {"tiktoken.model": kinds.ranks(), "tokenizer_config.json": _KIMI},
        {"vocab_size": _RANKS + 256, "eos_token_id": 7},
        style="deepseek2",
    ),
    "kimi-linear-ranks": Variant(
        {"tiktoken.model": kinds.ranks(), "tokenizer_config.json": _KIMI},
        {"vocab_size": _RANKS + 270, "eos_token_id": 7},
        style="kimi-linear",
    ),
}

_SPECIAL = kinds.SPECIAL
_MISTRAL = {
    "tekken": Variant({"tekken.json": kinds.tekken()}, style="mistral"),
    "tekken-v7": Variant({"tekken.json": kinds.tekken("v7")}, style="mistral"),
    "tekken-v11": Variant(
        {"tekken.json": kinds.tekken("v11", _SPECIAL), "chat_template.jinja": "T\r\n"}, style="mistral"
    ),
    "tekken-v13": Variant(
        {"tekken.json": kinds.tekken("v13", _SPECIAL), "chat_template.jinja": "T"}, style="mistral"
    ),
    "tekken-cut": Variant(
        {"tekken.json": kinds.tekken("v3", _SPECIAL, default_vocab_size=290)}, style="mistral"
    ),
    "tekken-no-pad": Variant(
        {"tekken.json": kinds.tekken("v3", [text for text in _SPECIAL if text != "<pad>"])}, style="mistral"
    ),
    "tekken-v11-none": Variant({"tekken.json": kinds.tekken("v11")}, style="mistral"),
    "tekken-v2": Variant({"tekken.json": kinds.tekken("v2")}, style="mistral"),
    "tekken-twice": Variant({"tekken.json": kinds.tekken("v3", ["<s>", "<s>"])}, style="mistral"),
    "tekken-beside": Variant({"tekken.json": kinds.tekken()}),
    "tekken-beside-jinja": Variant({"tekken.json": kinds.tekken("v7"), "chat_template.jinja": "T"}),
    "tekken-and-json": Variant({"tekken.json": kinds.tekken(), **_fast()}),
    "spm-v1": Variant({"tokenizer.model": tiny_tokenizers.sentencepiece()}, style="mistral"),
    "spm-v3": Variant({"tokenizer.model.v3": tiny_tokenizers.sentencepiece()}, style="mistral"),
    "spm-v7m1": Variant({"tokenizer.model.v7m1": tiny_tokenizers.sentencepiece()}, style="mistral"),
    "spm-several": Variant(
        {
            "tokenizer.model": tiny_tokenizers.sentencepiece(),
            "tokenizer.model.v3": tiny_tokenizers.sentencepiece(),
        },
        style="mistral",
    ),
    "mistral-nothing": Variant({}, style="mistral"),
}

VARIANTS = {**_ENCODERS, **_RANKED, **_MISTRAL}
