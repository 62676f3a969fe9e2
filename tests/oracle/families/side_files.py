"""Side files and configurations that variants share: tokenizers made from nothing, and a base to vary."""

from __future__ import annotations

import json
from typing import Any

from tests.tiny_tokenizers import SIZE, byte_fallback_files, sentencepiece_files
from tests.translators.golden_vocab import kinds

VOCABULARY = SIZE
pieces, fast = sentencepiece_files, byte_fallback_files


def config(architecture: str, model_type: str, **changes: Any) -> dict[str, Any]:
    """A configuration with rows of 256 elements; a change to None removes the key."""
    base = {
        "architectures": [architecture],
        "model_type": model_type,
        "hidden_act": "silu",
        "hidden_size": 256,
        "intermediate_size": 256,
        "max_position_embeddings": 2048,
        "num_attention_heads": 4,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "torch_dtype": "bfloat16",
        "vocab_size": SIZE,
    }
    return {key: value for key, value in {**base, **changes}.items() if value is not None}


def preprocessor(**changes: Any) -> dict[str, str | bytes]:
    """A preprocessor_config.json of CLIP's mean and deviation, with `changes`."""
    told = {
        "do_rescale": True,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        **changes,
    }
    return {"preprocessor_config.json": json.dumps(told, indent=2)}


# Words that merge from bytes; ids follow from the order.
_WORDS = ("Ġthe", "Ġof", "Ġand", "ing", "er", "on", "Ġprism", "Ġlight", "ĠĠ", "Ã©", "yes", "no")
END = "<|endoftext|>"
# The fingerprints of what this vocabulary makes of upstream's check text, without and with its bos token, and
# the name that both sides are told for it: llama.cpp knows pre-tokenizers by the ids of whole vocabularies.
BYTE_LEVEL_PRINTS = (
    "91e7e1b9fe0ea827ea91056eb702f1e055c5eaf0c2bb130b26c3819a44bbc313",
    "13e3252202fa5681248478ac4ae4dc6241d2ca2e1bf8b0f81a2e7dccda5b9ab5",
)
BYTE_LEVEL_NAME = "gpt-2"
WORD_PIECES_PRINT = "11b6fc7f30aef80fd29ae9f2f100527ac00ad77e5baee375ae8c855140ced850"
# The same of the list of ranks that HunYuan's variants have.
RANKED_PRINT = "83a88d552d5b346bcc7abd9544f92f50e207040c60005778834b6dd6c68f5412"
PRINTS = dict.fromkeys((*BYTE_LEVEL_PRINTS, WORD_PIECES_PRINT, RANKED_PRINT), BYTE_LEVEL_NAME)


def byte_level(*added: str, **config: Any) -> dict[str, str | bytes]:
    """A byte-level BPE of `VOCABULARY` tokens in tokenizer.json, as GPT-2's; `added` are special."""
    letters = [*map(chr, (*range(33, 127), *range(161, 173), *range(174, 256))), *map(chr, range(256, 324))]
    merges = list(dict.fromkeys((word[:cut], word[cut]) for word in _WORDS for cut in range(1, len(word))))
    texts = list(dict.fromkeys((*letters, *(left + right for left, right in merges))))
    texts += [f"w{number}" for number in range(len(texts), VOCABULARY - 1)]
    vocab = {text: number for number, text in enumerate((*texts, END))}
    step = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": VOCABULARY - 1 + number, "content": text, "single_word": False, "lstrip": False,
             "rstrip": False, "normalized": False, "special": True}
            for number, text in enumerate((END, *added))
        ],
        "normalizer": None,
        "pre_tokenizer": step,
        "post_processor": step,
        "decoder": step,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
            "vocab": vocab, "merges": [[left, right] for left, right in merges],
        },
    }  # fmt: skip
    settings = {"tokenizer_class": "GPT2TokenizerFast", "bos_token": END, "eos_token": END, "unk_token": END}
    return {
        "tokenizer.json": json.dumps(content, ensure_ascii=False, indent=1),
        "tokenizer_config.json": json.dumps({**settings, **config}, indent=2),
    }


_BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def word_pieces(**config: Any) -> dict[str, str | bytes]:
    """A WordPiece vocabulary of `VOCABULARY` tokens in tokenizer.json, as BERT's."""
    words = [
        *_BERT,
        *"abcdefghijklmnopqrstuvwxyz0123456789.,!?'",
        *(f"##{letter}" for letter in "aeiost0123"),
    ]
    words += [f"w{number}" for number in range(len(words), VOCABULARY)]
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    template = _template("[CLS]", "[SEP]", {"[CLS]": 2, "[SEP]": 3}, ["[SEP]"])
    content = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": number, "content": text, **flags} for number, text in enumerate(_BERT)],
        "normalizer": {
            "type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
            "strip_accents": None, "lowercase": True,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": template,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": {text: number for number, text in enumerate(words)},
        },
    }  # fmt: skip
    names = zip(("pad", "unk", "cls", "sep", "mask"), _BERT, strict=True)
    settings = {"tokenizer_class": "BertTokenizer", **{f"{name}_token": text for name, text in names}}
    return {
        "tokenizer.json": json.dumps(content, ensure_ascii=False, indent=1),
        "tokenizer_config.json": json.dumps({**settings, "do_lower_case": True, **config}, indent=2),
    }


def _template(first: str, last: str, ids: dict[str, int], between: list[str]) -> dict[str, Any]:
    def special(text: str, kind: int = 0) -> dict[str, Any]:
        return {"SpecialToken": {"id": text, "type_id": kind}}

    one, two = {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}
    return {
        "type": "TemplateProcessing",
        "single": [special(first), one, special(last)],
        "pair": [special(first), one, *map(special, between), two, special(last, 1)],
        "special_tokens": {
            text: {"id": text, "ids": [number], "tokens": [text]} for text, number in ids.items()
        },
    }


def unigram(name: str, **config: Any) -> dict[str, str | bytes]:
    """A Unigram in a SentencePiece model called `name`, as XLM-R's and T5's; 60 pieces."""
    base = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
    base = {**base, "cls_token": "<s>", "sep_token": "</s>", "mask_token": "<mask>"}
    return {
        name: kinds.unigram(),
        "tokenizer_config.json": json.dumps({**base, **config}, indent=2),
    }
