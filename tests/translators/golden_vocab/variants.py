"""Made-up tokenizer directories, each showing one thing that a checkpoint may have: `VARIANTS` by name.

Only the standard library is used, for `regenerate.py` runs this with upstream's own environment.
"""

from __future__ import annotations

import json
from typing import Any

from tests import tiny_tokenizers
from tests.translators.golden_vocab.parts import (
    END,
    FAST,
    SIZE,
    START,
    WORDS,
    added,
    byte_level,
    listed,
    template,
    vocabulary,
)
from tests.translators.golden_vocab.styles import VARIANTS as OF_STYLES
from tests.translators.golden_vocab.variant import Variant


def _fast(settings: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {"tokenizer.json": byte_level(**changes), "tokenizer_config.json": settings or FAST}


def _plain(settings: dict[str, Any], **more: Any) -> dict[str, Any]:
    merges = "#version: 0.2\n" + "\n".join(WORDS) + "\n"
    vocab = {**vocabulary(), END: 265}
    return {"vocab.json": vocab, "merges.txt": merges, "tokenizer_config.json": settings, **more}


_IDS = {END: 265, START: 266}
_BYTE_STEP = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}
_SPECIAL_DICT = {"__type": "AddedToken", **added(END)}

_LOADING = {
    "fast": Variant(_fast()),
    "fast-qwen": Variant(_fast(), style="qwen"),
    "no-settings": Variant({"tokenizer.json": byte_level()}),
    "no-settings-qwen": Variant({"tokenizer.json": byte_level()}, style="qwen"),
    "class-in-config": Variant(
        {"tokenizer.json": byte_level(), "tokenizer_config.json": {"bos_token": END}},
        {"tokenizer_class": "GPT2Tokenizer"},
    ),
    "llama-class": Variant(_fast({**FAST, "tokenizer_class": "LlamaTokenizer", "unk_token": None})),
    "llama-class-eos": Variant(
        _fast(
            {**FAST, "tokenizer_class": "LlamaTokenizerFast", "add_bos_token": False, "add_eos_token": True}
        )
    ),
    "llama-class-defaults": Variant(_fast({"tokenizer_class": "LlamaTokenizer"})),
    "llama-class-dict": Variant(
        _fast({"tokenizer_class": "LlamaTokenizer", "bos_token": _SPECIAL_DICT, "eos_token": START})
    ),
    "llama-class-no-bos": Variant(_fast({"tokenizer_class": "LlamaTokenizer", "bos_token": None})),
    "llama-class-prefix": Variant(
        _fast({**FAST, "tokenizer_class": "LlamaTokenizer", "add_prefix_space": True})
    ),
    "codellama-class": Variant(_fast({**FAST, "tokenizer_class": "CodeLlamaTokenizer", "eot_token": None})),
    "gemma-class": Variant(_fast({**FAST, "tokenizer_class": "GemmaTokenizer"})),
    "cohere-class": Variant(
        _fast({**FAST, "tokenizer_class": "CohereTokenizerFast", "add_bos_token": False})
    ),
    "neox-class": Variant(_fast({**FAST, "tokenizer_class": "GPTNeoXTokenizer", "add_bos_token": True})),
    "gpt2-class": Variant(_fast({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True})),
    "gpt2-class-prefix": Variant(_fast({"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": True})),
    "prefix": Variant(_fast({**FAST, "add_prefix_space": True})),
    "prefix-in-json": Variant(_fast(pre_tokenizer=_BYTE_STEP)),
    "prefix-in-sequence": Variant(
        _fast(pre_tokenizer={"type": "Sequence", "pretokenizers": [_BYTE_STEP]}), style="qwen"
    ),
    "qwen-class": Variant(_fast({"tokenizer_class": "Qwen2Tokenizer", "bos_token": None}), style="qwen"),
    "unknown-class": Variant(_fast({**FAST, "tokenizer_class": "HomeMadeTokenizer"})),
    "hybrid-class": Variant(_fast({**FAST, "tokenizer_class": "HybridDNATokenizer"})),
    "bare-dict": Variant(_fast({**FAST, "bos_token": {"content": END}})),
    "decoder-adds": Variant(
        _fast(
            {
                **FAST,
                "added_tokens_decoder": {
                    "273": added("<c>"),
                    "265": added(END, special=True),
                    "271": added("<a>", special=True),
                    "272": added(" <b>", normalized=True),
                    "268": added("▁mark", special=True),
                },
            }
        )
    ),
    "decoder-adds-gap": Variant(_fast({**FAST, "added_tokens_decoder": {"290": added("<late>")}})),
    "decoder-lacks": Variant(_fast({**FAST, "added_tokens_decoder": {}})),
    "special-map": Variant(
        _fast()
        | {
            "special_tokens_map.json": {
                "bos_token": added("<new>"),
                "pad_token": "<pad>",
                "additional_special_tokens": ["<x>", added("<y>")],
            }
        }
    ),
    "added-tokens-json": Variant(_fast() | {"added_tokens.json": {"<late>": 272, END: 265, "<early>": 271}}),
    "additional": Variant(_fast({**FAST, "additional_special_tokens": ["<x>", START, _SPECIAL_DICT]})),
    "extra": Variant(
        _fast({**FAST, "extra_special_tokens": {"image_token": "<image>", "audio_token": START}})
    ),
    "special-in-vocab": Variant(_fast({**FAST, "unk_token": "Ġthe", "mask_token": "in"})),
    "tidy": Variant(
        _fast(
            {**FAST, "clean_up_tokenization_spaces": True},
            added_tokens=[*listed(), added("x . y", 271), added("do n't", 272)],
        )
    ),
    "normalizer-lowercase": Variant(
        _fast(normalizer={"type": "Lowercase"}, added_tokens=[*listed(), added("<X>", 271), added("Y ", 272)])
    ),
    "normalizer-sequence": Variant(
        _fast(normalizer={"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "StripAccents"}]})
    ),
    "normalizer-bert": Variant(
        _fast(
            normalizer={
                "type": "BertNormalizer",
                "clean_text": True,
                "handle_chinese_chars": True,
                "strip_accents": None,
                "lowercase": False,
            }
        )
    ),
    "split-special": Variant(_fast({**FAST, "split_special_tokens": True})),
    "strips": Variant(_fast(added_tokens=[*listed(), added("<l>", 271, lstrip=True, rstrip=True)])),
    "padding": Variant(
        _fast(
            padding={
                "strategy": {"Fixed": 512},
                "direction": "Right",
                "pad_to_multiple_of": None,
                "pad_id": 0,
                "pad_type_id": 0,
                "pad_token": "<padded>",
            },
            truncation={"max_length": 4, "strategy": "LongestFirst", "stride": 0, "direction": "Right"},
        )
    ),
    "pairs": Variant(_fast(model={"merges": [merge.split(" ") for merge in WORDS]})),
    "pairs-with-spaces": Variant(
        _fast(
            model={
                "vocab": {**vocabulary(), " ": 265, "  ": 266, " t": 267},
                "merges": [*(merge.split(" ") for merge in WORDS), [" ", " "], [" ", "t"]],
            },
            added_tokens=[added(END, 268, special=True)],
        )
    ),
    "merges-aside": Variant(
        _fast(model={"merges": []}) | {"merges.txt": "#version: 0.2\r\nĠ t\r\n\r\nh e x\nh  e\n i n \n"}
    ),
    "id-gaps": Variant(_fast(model={"vocab": {**vocabulary(), "zz": 280}})),
    "id-too-big": Variant(_fast(model={"vocab": {**vocabulary(), "zz": SIZE}})),
    "tokenizer-file": Variant(_fast({**FAST, "tokenizer_file": None})),
    "plain-gpt2": Variant(_plain({"tokenizer_class": "GPT2Tokenizer"})),
    "plain-gpt2-bos": Variant(
        _plain({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "add_prefix_space": True})
    ),
    "plain-gpt2-added": Variant(
        _plain({"tokenizer_class": "GPT2Tokenizer", "pad_token": "<pad>"})
        | {
            "added_tokens.json": {"<one>": 266, "<two>": 267},
            "special_tokens_map.json": {"bos_token": "<one>", "eos_token": END, "unk_token": added(END)},
        }
    ),
    "plain-gpt2-file": Variant(_plain({"tokenizer_class": "GPT2Tokenizer", "tokenizer_file": None})),
    "plain-qwen2": Variant(_plain({"tokenizer_class": "Qwen2Tokenizer"}), style="qwen"),
    "plain-qwen2-added": Variant(
        _plain(
            {
                "tokenizer_class": "Qwen2Tokenizer",
                "added_tokens_decoder": {
                    "265": added(END, special=True),
                    "266": added("<one>"),
                    "268": added("<three>"),
                },
                "additional_special_tokens": ["<one>"],
            }
        ),
        style="qwen",
    ),
    "plain-no-class": Variant(_plain({}), style="qwen"),
    "plain-fast-class": Variant(_plain(FAST)),
    "nothing": Variant({}),
    "tekken-only": Variant({"tekken.json": {}}),
}


def _spm(settings: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    aside = {} if settings is None else {"tokenizer_config.json": settings}
    return {"tokenizer.model": tiny_tokenizers.sentencepiece(), **aside, **more}


_SPM_SIZE = {"vocab_size": tiny_tokenizers.SIZE}
_OVERRIDES = {
    "0": added("<unk>", special=True),
    "330": added("▁five"),
    "331": added("<pad>"),
    "420": added("<far>"),
    "1": added("<s>", special=True),
}
_SPM_SETTINGS = {
    "tokenizer_class": "LlamaTokenizer",
    "bos_token": {"content": "<s>"},
    "eos_token": "</s>",
    "add_bos_token": True,
    "add_eos_token": False,
    "added_tokens_decoder": _OVERRIDES,
}

_SENTENCEPIECE = {
    "spm": Variant(_spm(), _SPM_SIZE),
    "spm-qwen": Variant(_spm(), _SPM_SIZE, style="qwen"),
    "spm-bigger": Variant(_spm(_SPM_SETTINGS), {"vocab_size": 432}),
    "spm-smaller": Variant(
        _spm(_SPM_SETTINGS), {"vocab_size": 300, "eos_token_id": 299, "pad_token_id": 300}
    ),
    "spm-prefix": Variant(_spm({**_SPM_SETTINGS, "add_prefix_space": False}), _SPM_SIZE),
    "spm-added": Variant(
        _spm(_SPM_SETTINGS, **{"added_tokens.json": {"<added>": 417, "<seven>": 332, "<beyond>": 9999}}),
        {"vocab_size": 425},
    ),
    "spm-json-ids": Variant(
        _spm(_SPM_SETTINGS, **{"tokenizer.json": {"added_tokens": [added("</s>", 2), added("<s>", 1)]}}),
        {**_SPM_SIZE, "eos_token_id": [2, 3], "bos_token_id": 9, "unk_token_id": 0, "pad_token_id": True},
    ),
    "spm-codellama": Variant(
        _spm({**_SPM_SETTINGS, "chat_template": "{{ x }}", "eot_token": "▁<EOT>"}), {"vocab_size": 32016}
    ),
    "spm-negative-id": Variant(_spm(), {**_SPM_SIZE, "pad_token_id": -1}),
    "spm-broken": Variant({"tokenizer.model": tiny_tokenizers.sentencepiece()[:-3]}, _SPM_SIZE),
    "spm-empty": Variant({"tokenizer.model": b""}, _SPM_SIZE),
}


def _fallback(settings: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "tokenizer.json": {**json.loads(tiny_tokenizers.byte_fallback()), **changes},
        "tokenizer_config.json": settings,
    }


_NAMED = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
_MORE = [added("<s>", 1, special=True), added("</s>", 2, special=True), added("<far>", tiny_tokenizers.SIZE)]
_FALLBACK = {
    "fallback-fast": Variant(_fallback({"tokenizer_class": "PreTrainedTokenizerFast", **_NAMED}), _SPM_SIZE),
    "fallback-llama": Variant(_fallback({"tokenizer_class": "LlamaTokenizer", **_NAMED}), _SPM_SIZE),
    "fallback-added": Variant(
        _fallback({"tokenizer_class": "LlamaTokenizer", "pad_token": "<pad>", **_NAMED}, added_tokens=_MORE),
        _SPM_SIZE,
    ),
    "fallback-prefix": Variant(
        _fallback({"tokenizer_class": "LlamaTokenizer", "add_prefix_space": True, **_NAMED}), _SPM_SIZE
    ),
    "fallback-qwen": Variant(
        _fallback({"tokenizer_class": "PreTrainedTokenizerFast", **_NAMED}), _SPM_SIZE, style="qwen"
    ),
}

_PROCESSORS = {
    "bos": template([START, "A"], [START, "A", "B"], _IDS),
    "bos-pair": template([START, "A"], [START, "A", START, "B"], _IDS),
    "eos": template(["A", END], ["A", END, "B", END], _IDS),
    "other-eos": template([END, "A", START], [END, "A", START, "B", START], _IDS),
    "sep": template(["A"], ["A", END, "B"], _IDS),
    "sep-two": template([START, "A"], [START, "A", END, END, "B"], _IDS),
    "other": template([START, "A", "B"], ["A"], _IDS),
    "roberta": {
        "type": "RobertaProcessing",
        "sep": [END, 265],
        "cls": [START, 266],
        "trim_offsets": True,
        "add_prefix_space": False,
    },
    "bytes": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True},
}
_PROCESSORS["sequence"] = {"type": "Sequence", "processors": [_PROCESSORS["bytes"], _PROCESSORS["bos"]]}
_SURROUNDINGS: dict[str, dict[str, Any]] = {
    "named": {"bos_token": START, "eos_token": END, "add_bos_token": False},
    "bert": {"cls_token": START, "sep_token": END, "add_sep_token": True},
    "unnamed": {"pad_token": START},
    "mixed": {
        "bos_token": END,
        "eos_token": START,
        "cls_token": {"__type": "AddedToken", **added(START)},
        "add_eos_token": True,
    },
}
_SPECIAL = {
    f"post-{name}-{around}": Variant(
        _fast({"tokenizer_class": "PreTrainedTokenizerFast", **settings}, post_processor=processor),
        {"eos_token_id": 266, "pad_token_id": 3, "text_config": {"sep_token_id": 4}},
    )
    for name, processor in _PROCESSORS.items()
    for around, settings in _SURROUNDINGS.items()
}
_SPECIAL |= {
    f"post-{name}-alone": Variant(_spm(None, **{"tokenizer.json": byte_level(post_processor=p)}), _SPM_SIZE)
    for name, p in _PROCESSORS.items()
}

_JINJA = {"chat_template.jinja": "line\r\nline\rend\n"}
_TEMPLATES = {
    "chat-text": Variant(_fast({**FAST, "chat_template": "{{ x }}"})),
    "chat-empty": Variant(_fast({**FAST, "chat_template": ""})),
    "chat-list": Variant(
        _fast(
            {
                **FAST,
                "chat_template": [
                    {"name": "tool-use", "template": "T"},
                    {"name": "default", "template": "D"},
                ],
            }
        )
    ),
    "chat-list-no-default": Variant(_fast({**FAST, "chat_template": [{"name": "rag", "template": "R"}]})),
    "chat-null": Variant(_fast({**FAST, "chat_template": None}) | _JINJA),
    "chat-jinja": Variant(_fast() | _JINJA),
    "chat-jinja-more": Variant(_fast() | _JINJA | {"additional_chat_templates/tool_use.jinja": "T\r\n"}),
    "chat-json": Variant(_fast() | {"chat_template.json": {"chat_template": "J"}}),
    "chat-both": Variant(_fast() | _JINJA | {"chat_template.json": {"chat_template": "J"}}),
    "chat-number": Variant(_fast({**FAST, "chat_template": [{"name": "x", "template": 5}]})),
    "chat-no-settings": Variant({"tokenizer.json": byte_level(), **_JINJA}),
}

VARIANTS = {**_LOADING, **_SENTENCEPIECE, **_FALLBACK, **_SPECIAL, **_TEMPLATES, **OF_STYLES}
