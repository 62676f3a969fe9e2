"""Made-up tokenizer directories for the families' own styles: `VARIANTS` by name, as in `variants`.

Only the standard library is used, for `regenerate.py` runs this with upstream's own environment.
"""

from __future__ import annotations

import json
from typing import Any

from tests import tiny_tokenizers
from tests.translators.golden_vocab.other_styles import VARIANTS as OTHERS
from tests.translators.golden_vocab.parts import END, FAST, added, byte_level, listed, vocabulary
from tests.translators.golden_vocab.variant import Variant

_SPM_SIZE = {"vocab_size": tiny_tokenizers.SIZE}


def _fast(settings: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    return {"tokenizer.json": byte_level(**changes), "tokenizer_config.json": settings or FAST}


def _spm(settings: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    aside = {} if settings is None else {"tokenizer_config.json": settings}
    return {"tokenizer.model": tiny_tokenizers.sentencepiece(), **aside, **more}


def _fallback(settings: dict[str, Any], **changes: Any) -> dict[str, Any]:
    document = {**json.loads(tiny_tokenizers.byte_fallback()), **changes}
    return {"tokenizer.json": document, "tokenizer_config.json": settings}


def _texts(*texts: str, special: bool = True) -> list[dict[str, Any]]:
    tokens = listed()
    return tokens + [added(text, 271 + at, special=special) for at, text in enumerate(texts)]


_NAMED = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}
_PLAIN = {
    style: Variant(_fast(), style=style)
    for style in (
        "gpt2",
        "deepseek2",
        "hunyuan-dense",
        "mpt",
        "mamba",
        "mamba2",
        "stablelm",
        "nemotron-h",
        "granite-hybrid",
        "kimi-linear",
        "gemma3",
        "gemma3n",
        "refact",
        "eurobert",
        "modern-bert",
    )
}
_PLAIN |= {
    "gpt2-neox": Variant(_fast({"tokenizer_class": "GPTNeoXTokenizer"}), style="gpt2"),
    "gpt2-codegen": Variant(_fast({"tokenizer_class": "CodeGenTokenizer"}), style="gpt2"),
    "gpt2-bloom": Variant(_fast({"tokenizer_class": "BloomTokenizerFast"}), style="gpt2"),
    "mamba-odd": Variant(_fast(), {"vocab_size": 297}, style="mamba"),
    "mamba2-odd": Variant(_fast(), {"vocab_size": 297}, style="mamba2"),
    "mamba2-multiple": Variant(_fast(), {"vocab_size": 297, "pad_vocab_size_multiple": 32}, style="mamba2"),
    "mamba2-spm": Variant(_spm(), {"vocab_size": 409}, style="mamba2"),
    "mamba-spm": Variant(_spm(), {"vocab_size": 409}, style="mamba"),
    "mamba-nothing": Variant({}, style="mamba"),
    "nemotron-h-odd": Variant(_fast(), {"vocab_size": 297}, style="nemotron-h"),
    "granite-hybrid-odd": Variant(
        _fast(), {"vocab_size": 297, "layer_types": ["mamba", "attention"]}, style="granite-hybrid"
    ),
    "granite-hybrid-none": Variant(
        _fast(), {"vocab_size": 297, "layer_types": ["attention"]}, style="granite-hybrid"
    ),
    "hunyuan-dense-no-pad": Variant(
        _fast({**FAST, "pad_token": "<|im_start|>"}), {"pad_token_id": -1}, style="hunyuan-dense"
    ),
    "glm4": Variant(_fast(added_tokens=_texts("<|user|>")), style="glm4"),
    "glm4-lacking": Variant(_fast(), style="glm4"),
    "glm": Variant(
        _fast(
            {**FAST, "bos_token": None, "unk_token": "[gMASK]"},
            added_tokens=_texts("[gMASK]", "<|user|>", "<|observation|>", special=False),
        ),
        {"eos_token_id": [265, 272], "pad_token_id": 265},
        style="glm",
    ),
    "chatglm": Variant(
        _fast(added_tokens=_texts("<|user|>")), {"padded_vocab_size": 310, "eos_token_id": 7}, style="chatglm"
    ),
    "solar-open": Variant(
        _fast(
            {"tokenizer_class": "PreTrainedTokenizerFast"}, added_tokens=_texts("<unk>", "<|startoftext|>")
        ),
        style="solar-open",
    ),
    "dots3": Variant(_fast(added_tokens=_texts("<|endofassistant|>")), style="dots3"),
    "deepseek32": Variant(_fast({**FAST, "tokenizer_class": "LlamaTokenizerFast"}), style="deepseek32"),
    "deepseek32-none": Variant(_fast(), style="deepseek32"),
    "qwen3-omni": Variant(
        _fast({**FAST, "added_tokens_decoder": {"271": added("<|im_end|>", special=True)}}),
        style="qwen3-omni",
    ),
    "minimax-text": Variant(
        _fast({**FAST, "chat_template": "A"}) | {"chat_template.jinja": "B\r\n"}, style="minimax-text"
    ),
    "grok": Variant(_fast() | {"chat_template.jinja": "B"}, style="grok"),
    "grok-spm": Variant(_spm(), _SPM_SIZE, style="grok"),
    "grok-lacking": Variant(_fast(), style="grok"),
    "modern-bert-class": Variant(
        _fast({"tokenizer_class": "PreTrainedTokenizerFast", "cls_token": END, "sep_token": END}),
        style="modern-bert",
    ),
}

_LATER = {
    "added_tokens.json": {"<added>": 417, "<seven>": 332},
    "tokenizer.json": {"added_tokens": [added("<s>", 1, special=True), added("▁late", 331)]},
}
_DECODED = {"0": added("<unk>", special=True), "330": added("▁five"), "331": added("<pad>")}
_SPM_SETTINGS = {"tokenizer_class": "LlamaTokenizer", **_NAMED, "added_tokens_decoder": _DECODED}
_SCORED = {
    f"{style}-spm": Variant(_spm(_SPM_SETTINGS), _SPM_SIZE, style=style)
    for style in (
        "sentencepiece",
        "gemma2",
        "gemma3",
        "gemma3n",
        "ernie4.5",
        "nemotron",
        "openelm",
        "jamba",
        "mpt",
        "internlm3",
        "internlm2",
        "phi3",
        "t5",
    )
}
_SCORED |= {
    "gemma-spm": Variant(_spm({**_SPM_SETTINGS, "chat_template": "{{ x }}"}), _SPM_SIZE, style="gemma"),
    "gemma-ids": Variant(_spm(_SPM_SETTINGS), {**_SPM_SIZE, "eot_token_id": 9}, style="gemma"),
    "gemma3-both": Variant(
        _spm(_SPM_SETTINGS), {"vocab_size": 420, "vocab_size_per_layer_input": 400}, style="gemma3"
    ),
    "gemma3n-both": Variant(
        _spm(_SPM_SETTINGS), {"vocab_size": 420, "vocab_size_per_layer_input": 400}, style="gemma3n"
    ),
    "ernie-prefix": Variant(_spm({**_SPM_SETTINGS, "add_prefix_space": True}), _SPM_SIZE, style="ernie4.5"),
    "openelm-nothing": Variant({}, style="openelm"),
    "phi3-all": Variant(_spm(_SPM_SETTINGS, **_LATER), {"vocab_size": 420}, style="phi3"),
    "phi3-far": Variant(_spm(_SPM_SETTINGS, **_LATER), {"vocab_size": 331}, style="phi3"),
    "phi3-gpt2": Variant(_fast({**FAST, "tokenizer_class": "GPT2Tokenizer"}), style="phi3"),
    "phi3-bare": Variant(_spm(), {"vocab_size": 432}, style="phi3"),
    "internlm2-all": Variant(
        _spm(_SPM_SETTINGS, **_LATER), {**_SPM_SIZE, "eos_token_id": 2}, style="internlm2"
    ),
    "internlm2-chat": Variant(
        _spm({**_SPM_SETTINGS, "added_tokens_decoder": {"330": added("<|im_end|>", special=True)}}),
        {**_SPM_SIZE, "eos_token_id": 2},
        style="internlm2",
    ),
    "internlm2-no-eos": Variant(_spm(), _SPM_SIZE, style="internlm2"),
    "internlm2-bigger": Variant(
        _spm(_SPM_SETTINGS), {"vocab_size": 420, "eos_token_id": 2}, style="internlm2"
    ),
    "internlm3-chat": Variant(
        _spm(
            {
                **_SPM_SETTINGS,
                "add_prefix_space": False,
                "added_tokens_decoder": {"330": added("<|im_end|>", special=True), "1": added("bos")},
            }
        ),
        {**_SPM_SIZE, "eos_token_id": 2},
        style="internlm3",
    ),
    "jamba-json": Variant(
        _fallback({"tokenizer_class": "LlamaTokenizerFast", **_NAMED}), _SPM_SIZE, style="jamba"
    ),
    "jamba-gpt2": Variant(_fast(), style="jamba"),
    "gemma4": Variant(
        _fallback(
            {"tokenizer_class": "GemmaTokenizer", **_NAMED, "pad_token": "<s>"},
            added_tokens=[
                added("<unk>", 0, special=True),
                added("<s>", 1, special=True),
                added("</s>", 2, special=True),
                added("<|tool_call>", tiny_tokenizers.SIZE, special=True),
                added("<|turn>", 417, special=True),
            ],
        ),
        {**_SPM_SIZE, "bos_token_id": 1, "eos_token_id": [2, 417]},
        style="gemma4",
    ),
    "gemma4-gpt2": Variant(_fast(), style="gemma4"),
    "xverse": Variant(
        _fallback({"tokenizer_class": "PreTrainedTokenizerFast", **_NAMED}), _SPM_SIZE, style="xverse"
    ),
    "xverse-zero": Variant(
        _fast(
            model={"vocab": {**vocabulary(), "\0": 265}},
            added_tokens=[added(END, 266, special=True), added("<0x0A>", 267)],
        ),
        {"vocab_size": 268},
        style="xverse",
    ),
    "xverse-gap": Variant(_fast(), style="xverse"),
}

VARIANTS = {**_PLAIN, **_SCORED, **OTHERS}
