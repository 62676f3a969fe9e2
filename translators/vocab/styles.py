"""The byte-level BPE and SentencePiece styles: one function each, in the order of upstream's converter.

Most families share a handful; the rest differ by an exception that upstream knows of one model (an id by its
token's text, a flag that no file has). Facts: the `set_vocab` methods of llama.cpp b11434's converter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from translators.errors import MissingSource, TranslationError, Unsupported
from translators.vocab.bpe import byte_fallback, has_byte_fallback, tokens_by_id
from translators.vocab.sentencepiece import Piece, read_model
from translators.vocab.special import read_specials
from translators.vocab.spm import overridden, sentencepiece_tokens
from translators.vocab.stored import PREFIX
from translators.vocab.tokens import SPACE_MARK, Tokens, TokenType
from translators.vocab.writing import Writing

_SETTINGS = "tokenizer_config.json"
_MODEL = "tokenizer.model"
# CodeLlama's vocabulary, whose infill tokens no file names; gguf-py has a key for the last one only.
_CODELLAMA_TOKENS, _CODELLAMA_EOT = 32016, 32010
# Granite's small models; SmolLM2 has as many tokens and gets the same treatment.
_NO_BOS_TOKENS = 49152
_INFILL = ("prefix", "suffix", "middle", "eot")
# What a chat's reader looks for in the text, so that llama.cpp must print it (Gemma 4).
_GEMMA4_SHOWN = (
    "<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", "<|tool_response>", "<tool_response|>",
    '<|"|>',
)  # fmt: skip


def gpt2(writing: Writing) -> None:
    """Byte-level BPE and nothing else."""
    writing.byte_level()


def sentencepiece(writing: Writing) -> None:
    """tokenizer.model and nothing else."""
    writing.sentencepiece()


def qwen(writing: Writing) -> None:
    """tokenizer.model where there is one, else byte-level BPE."""
    if writing.folder.has(_MODEL):
        writing.sentencepiece()
    else:
        writing.byte_level()


def llama(writing: Writing) -> None:
    """tokenizer.model, else BPE with byte fallback, else byte-level BPE; two are known by their size."""
    _prefix_of_settings(writing, null=False)
    if writing.folder.has(_MODEL):
        writing.sentencepiece()
    elif has_byte_fallback(writing.folder):
        writing.byte_fallback()
    else:
        writing.byte_level()
    size = writing.config.get("vocab_size", 32000)
    if size == _CODELLAMA_TOKENS:
        writing.specials(kinds=_INFILL, more={"eot": _CODELLAMA_EOT})
    if size == _NO_BOS_TOKENS:
        writing.adds("bos", False)


def _prefix_of_settings(writing: Writing, *, null: bool) -> None:
    """add_space_prefix from add_prefix_space; `null`: whether a null counts, as false."""
    settings = writing.folder.json(_SETTINGS)
    if settings.get("tokenizer_class") == "HybridDNATokenizer":
        raise Unsupported(
            "the tokenizer is code of the checkpoint's own",
            path=writing.folder.shown(_SETTINGS), place="HybridDNATokenizer",
        )  # fmt: skip
    if "add_prefix_space" in settings and (null or settings["add_prefix_space"] is not None):
        writing.space_prefix(bool(settings["add_prefix_space"]))


def ernie(writing: Writing) -> None:
    """tokenizer.model; a space prefix where the settings speak of one (ERNIE 4.5, openPangu)."""
    writing.sentencepiece()
    _prefix_of_settings(writing, null=True)


def gemma(writing: Writing) -> None:
    """Gemma 1 and CodeGemma, whose end of turn no file names."""
    writing.sentencepiece()
    writing.specials(kinds=(*_INFILL[:3], "fsep", "eot"), more={"eot": 107}, template=False)
    writing.space_prefix(False)


def gemma2(writing: Writing) -> None:
    """tokenizer.model without a space prefix."""
    writing.sentencepiece()
    writing.space_prefix(False)


def gemma3(writing: Writing) -> None:
    """tokenizer.model without a space prefix, else tokenizer.json as it is."""
    if writing.folder.has(_MODEL):
        gemma2(writing)
    else:
        writing.byte_level()


def gemma3n(writing: Writing) -> None:
    """Gemma 3n, whose tokens for images and sound lie beyond the embeddings by layer."""
    gemma3(writing.with_config(vocab_size_per_layer_input=None))


def gemma4(writing: Writing) -> None:
    """BPE with byte fallback under a name of its own; markup that must stay visible is no control token."""
    if not has_byte_fallback(writing.folder):
        raise _lacking(writing, "a tokenizer.json with byte fallback")
    tokens = byte_fallback(writing.folder, writing.tokenizer)
    for number, text in enumerate(tokens.texts):
        if text.decode() in _GEMMA4_SHOWN:
            tokens.types[number] = TokenType.USER_DEFINED
    writing.tokens("gemma4", None, tokens)
    writing.specials(merges=True)
    writing.space_prefix(False)
    writing.adds("bos", True)


def phi3(writing: Writing) -> None:
    """Phi-3: tokenizer.model, its added tokens as all later files have them; Phi-4: byte-level BPE."""
    if writing.folder.json(_SETTINGS).get("tokenizer_class") == "GPT2Tokenizer":
        writing.byte_level()
        return
    pieces = read_model(writing.folder.data(_MODEL), writing.folder.shown(_MODEL)).pieces
    tokens, _ = overridden(writing.folder, pieces, writing.config.get("vocab_size", len(pieces)))
    writing.scored(tokens)


def internlm2(writing: Writing) -> None:
    """tokenizer.model with its own space prefix; a chat's end of turn takes the place of eos."""
    model = read_model(writing.folder.data(_MODEL), writing.folder.shown(_MODEL))
    size = writing.config.get("vocab_size", len(model.pieces))
    if not isinstance(size, int) or size > len(model.pieces):
        raise writing.folder.malformed(_MODEL, f"{len(model.pieces):,} pieces are fewer than {size!r} tokens")
    pieces = [_internlm2_piece(piece) for piece in model.pieces]
    tokens, listed = overridden(writing.folder, pieces, size, append=True)
    writing.tokens("llama", "default", tokens)
    writing.space_prefix(model.adds_prefix)
    found = read_specials(writing.folder, count=len(tokens.texts))
    if "eos" not in found.ids:
        raise _lacking(writing, "an eos token")
    found.ids["eos"] = listed.get("<|im_end|>", found.ids["eos"])
    writing.found_specials(found)


def _internlm2_piece(piece: Piece) -> Piece:
    if piece.text == b"\0":  # llama.cpp would take it for an empty text
        return piece._replace(text="🐉".encode())
    return piece._replace(type=TokenType.UNUSED) if piece.text.startswith(b"[UNUSED") else piece


def internlm3(writing: Writing) -> None:
    """tokenizer.model; a special <|im_end|> takes the place of eos."""
    tokens = sentencepiece_tokens(writing.folder, writing.config)
    writing.tokens("llama", "default", tokens)
    found = read_specials(writing.folder, count=len(tokens.texts))
    _prefix_of_settings(writing, null=True)
    for number, entry in _listed(writing).items():
        if entry.get("special") and entry.get("content") == "<|im_end|>" and "eos" in found.ids:
            found.ids["eos"] = number
    writing.found_specials(found)


def xverse(writing: Writing) -> None:
    """The tokens of tokenizer.json as a "llama" vocabulary without scores; ids must be without gaps."""
    by_id = tokens_by_id(writing.folder, writing.tokenizer)
    size = writing.config.get("vocab_size", len(by_id))
    added = writing.tokenizer.backend.get_added_tokens_decoder()
    if not isinstance(size, int) or max(by_id) >= size or len(by_id) != size:
        raise writing.folder.malformed("tokenizer.json", f"its ids are not those of {size!r} tokens")
    tokens = Tokens([], [])
    for number in range(size):
        text, kind = by_id[number], TokenType.NORMAL
        if text == "\0" or re.fullmatch("<0x[0-9A-Fa-f]{2}>", text):
            text, kind = (r"<b'\x00'>" if text == "\0" else text), TokenType.BYTE
        elif number in added:
            kind = TokenType.CONTROL if added[number].special else TokenType.USER_DEFINED
        tokens.texts.append(text.encode())
        tokens.types.append(kind)
    writing.scored(tokens)


def mpt(writing: Writing) -> None:
    """Byte-level BPE; SEA-LION's tokenizer.model where that cannot be had."""
    try:
        writing.byte_level()
    except TranslationError:
        if not writing.folder.has(_MODEL):
            raise
        writing.sentencepiece()
        writing.adds("bos", False)
        for kind, number in (("pad", 3), ("eos", 1), ("unk", 0)):
            writing.id(kind, number)


def nemotron(writing: Writing) -> None:
    """tokenizer.model; ids that no file names."""
    writing.sentencepiece()
    writing.id("pad", 0)
    writing.id("unk", 1)


def jamba(writing: Writing) -> None:
    """tokenizer.model, else BPE with byte fallback without a space prefix."""
    if writing.folder.has(_MODEL):
        writing.sentencepiece()
        return
    if not has_byte_fallback(writing.folder):
        raise _lacking(writing, "a tokenizer.model, or a tokenizer.json with byte fallback")
    writing.byte_fallback()
    writing.space_prefix(False)


def mamba(writing: Writing) -> None:
    """Mamba-1 and FalconMamba: a vocabulary of whole eights; tokenizer.json first."""
    padded = _padded(writing, 8)
    if padded.folder.has("tokenizer.json"):
        padded.byte_level()
    elif padded.folder.has(_MODEL):
        padded.sentencepiece()
    else:
        raise _builtin(writing)


def mamba2(writing: Writing) -> None:
    """Mamba-2: whole sixteens, or what pad_vocab_size_multiple says; tokenizer.model first."""
    padded = _padded(writing, 16)
    if padded.folder.has(_MODEL):
        padded.sentencepiece()
    elif padded.folder.has("tokenizer.json"):
        padded.byte_level()
    else:
        raise _builtin(writing)


def granite_hybrid(writing: Writing) -> None:
    """Granite 4: padded to eights only where there are layers of Mamba."""
    kinds = writing.config.get("layer_types") or writing.config.get("layers_block_type") or ["mamba"]
    multiple = 8 if any(kind != "attention" for kind in kinds) else 1
    mamba2(writing.with_config(pad_vocab_size_multiple=multiple))


def nemotron_h(writing: Writing) -> None:
    """Nemotron-H: byte-level BPE of whole eights."""
    _padded(writing.with_config(pad_vocab_size_multiple=8), 8).byte_level()


def _padded(writing: Writing, multiple: int) -> Writing:
    """With vocab_size rounded up."""
    size, multiple = writing.config.get("vocab_size"), writing.config.get("pad_vocab_size_multiple", multiple)
    if not isinstance(size, int) or not isinstance(multiple, int) or size <= 0 or multiple <= 0:
        raise writing.folder.malformed(
            "config.json", f"{size!r} tokens in multiples of {multiple!r}", "vocab_size"
        )
    return writing.with_config(vocab_size=-(size // -multiple) * multiple)


def glm4(writing: Writing) -> None:
    """GLM-4-0414, GLM-4.1V, GLM-Edge: a turn ends where the user's begins."""
    end = writing.added_id("<|endoftext|>")
    writing.byte_level({"eos": end, "eot": writing.added_id("<|user|>"), "unk": end, "bos": end})


def glm(writing: Writing) -> None:
    """GLM-4.5 and later, GLM-4-MoE, GLM-DSA."""
    texts = {"bos": "[gMASK]", "eot": "<|user|>", "unk": "<|endoftext|>", "eom": "<|observation|>"}
    writing.byte_level({kind: writing.added_id(text) for kind, text in texts.items()})


def chatglm(writing: Writing) -> None:
    """GLM-4-9B (chatglm); ChatGLM3's SentencePiece model needs its own code."""
    if "THUDM/chatglm3-6b" in str(writing.config.get("_name_or_path", "")):
        raise Unsupported(
            "ChatGLM3's tokenizer is code of the checkpoint's own", path=writing.folder.shown(_SETTINGS)
        )
    size = writing.config.get("padded_vocab_size", writing.config.get("vocab_size"))
    if max(tokens_by_id(writing.folder, writing.tokenizer)) >= (size or 0):
        raise writing.folder.malformed("tokenizer.json", f"a token id does not fit {size!r} tokens")
    end = writing.added_id("<|endoftext|>")
    writing.byte_level({"eos": end, "eot": writing.added_id("<|user|>"), "unk": end})


def solar_open(writing: Writing) -> None:
    """Solar-Open: eos by its text, also as the end of a turn."""
    texts = {"eos": "<|endoftext|>", "eot": "<|endoftext|>", "unk": "<unk>", "bos": "<|startoftext|>"}
    writing.byte_level({kind: writing.added_id(text) for kind, text in texts.items()})


def dots3(writing: Writing) -> None:
    """dots3: the end of a turn by its text."""
    writing.byte_level({"eot": writing.added_id("<|endofassistant|>")})


def deepseek32(writing: Writing) -> None:
    """DeepSeek-V3.2: byte-level BPE, and a bos token that must be added."""
    kind = writing.tokenizer
    if not kind.adds_bos:
        raise Unsupported(
            "the tokenizer must add its bos token",
            path=writing.folder.shown(_SETTINGS), place="add_bos_token",
            remedy="set add_bos_token to true, as the original checkpoint has it",
        )  # fmt: skip
    writing.byte_level()


def qwen3_omni(writing: Writing) -> None:
    """Qwen3-Omni: <|im_end|> is both bos and eos."""
    qwen(writing)
    for number, entry in _listed(writing).items():
        if entry.get("content") == "<|im_end|>":
            writing.id("bos", number)
            writing.id("eos", number)
            break


def grok(writing: Writing) -> None:
    """Grok: tokenizer.model, else tokenizer.json with a chat_template.jinja beside it."""
    if writing.folder.has(_MODEL):
        writing.sentencepiece()
    elif writing.folder.has("tokenizer.json") and writing.folder.has("chat_template.jinja"):
        writing.byte_level()
    else:
        raise _lacking(writing, "a tokenizer.model, or a tokenizer.json with chat_template.jinja")


def openelm(writing: Writing) -> None:
    """OpenELM, whose checkpoints have no tokenizer: upstream has Llama 2's built in."""
    if not writing.folder.has(_MODEL):
        raise _builtin(writing)
    writing.sentencepiece()


def refact(writing: Writing) -> None:
    """Refact: byte-level BPE."""
    writing.byte_level()
    writing.specials(kinds=_INFILL, template=False)


def minimax(writing: Writing) -> None:
    """MiniMax-Text-01 and M1: the template of chat_template.jinja, whatever the settings hold."""
    if not writing.folder.has("chat_template.jinja"):
        raise _lacking(writing, "a chat_template.jinja (upstream has one built in)")
    writing.byte_level()
    template(writing)


def template(writing: Writing) -> None:
    """chat_template.jinja in place of any other."""
    writing.kv.string("tokenizer.chat_template", writing.folder.text("chat_template.jinja"))


def none(writing: Writing) -> None:
    """No tokenizer at all."""
    writing.kv.string(PREFIX + "model", "none")


def without_marks(tokens: Tokens) -> None:
    """mmBERT's added runs of spaces, which its own tokenizer never finds, as ordinary tokens."""
    for number, kind in enumerate(tokens.types):
        text = tokens.texts[number]
        if kind is TokenType.USER_DEFINED and text and not text.strip(b" "):
            tokens.texts[number] = SPACE_MARK.encode() * len(text)
            tokens.types[number] = TokenType.NORMAL


def _listed(writing: Writing) -> Mapping[int, Mapping[str, object]]:
    """added_tokens_decoder of tokenizer_config.json."""
    listed = writing.folder.json(_SETTINGS).get("added_tokens_decoder", {})
    try:
        return {int(number): dict(entry) for number, entry in listed.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise writing.folder.malformed(
            _SETTINGS, f"the added tokens cannot be understood: {error}"
        ) from error


def _lacking(writing: Writing, what: str) -> MissingSource:
    return MissingSource(
        f"the tokenizer needs {what}", path=str(writing.folder.root),
        remedy="fetch the tokenizer's files from the original checkpoint",
    )  # fmt: skip


def _builtin(writing: Writing) -> MissingSource:
    return _lacking(writing, "tokenizer files (upstream would take a vocabulary that it has built in)")
