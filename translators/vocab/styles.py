"""The styles of most families, and those of SentencePiece: one function each, in upstream's order.

Most families share a handful; the rest differ by an exception that upstream knows of one model (an id by its
token's text, a flag that no file has). Facts: the `set_vocab` methods of llama.cpp b11434's converter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from translators.errors import MissingSource, Unsupported
from translators.vocab.bpe import byte_fallback, has_byte_fallback, tokens_by_id
from translators.vocab.sentencepiece import Piece, read_model
from translators.vocab.special import read_specials
from translators.vocab.spm import overridden, sentencepiece_tokens
from translators.vocab.stored import PREFIX
from translators.vocab.tokens import Tokens, TokenType
from translators.vocab.writing import Writing

SETTINGS = "tokenizer_config.json"
MODEL = "tokenizer.model"
# CodeLlama's vocabulary, whose infill tokens no file names; gguf-py has a key for the last one only.
_CODELLAMA_TOKENS, _CODELLAMA_EOT = 32016, 32010
# Granite's small models; SmolLM2 has as many tokens and gets the same treatment.
_NO_BOS_TOKENS = 49152
INFILL = ("prefix", "suffix", "middle", "eot")
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
    if writing.folder.has(MODEL):
        writing.sentencepiece()
    else:
        writing.byte_level()


def llama(writing: Writing) -> None:
    """tokenizer.model, else BPE with byte fallback, else byte-level BPE; two are known by their size."""
    _prefix_of_settings(writing, null=False)
    if writing.folder.has(MODEL):
        writing.sentencepiece()
    elif has_byte_fallback(writing.folder):
        writing.byte_fallback()
    else:
        writing.byte_level()
    size = writing.config.get("vocab_size", 32000)
    if size == _CODELLAMA_TOKENS:
        writing.specials(kinds=INFILL, more={"eot": _CODELLAMA_EOT})
    if size == _NO_BOS_TOKENS:
        writing.adds("bos", False)


def _prefix_of_settings(writing: Writing, *, null: bool) -> None:
    """add_space_prefix from add_prefix_space; `null`: whether a null counts, as false."""
    settings = writing.folder.json(SETTINGS)
    if settings.get("tokenizer_class") == "HybridDNATokenizer":
        raise Unsupported(
            "the tokenizer is code of the checkpoint's own",
            path=writing.folder.shown(SETTINGS), place="HybridDNATokenizer",
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
    writing.specials(kinds=(*INFILL[:3], "fsep", "eot"), more={"eot": 107}, template=False)
    writing.space_prefix(False)


def gemma2(writing: Writing) -> None:
    """tokenizer.model without a space prefix."""
    writing.sentencepiece()
    writing.space_prefix(False)


def gemma3(writing: Writing) -> None:
    """tokenizer.model without a space prefix, else tokenizer.json as it is."""
    if writing.folder.has(MODEL):
        gemma2(writing)
    else:
        writing.byte_level()


def gemma3n(writing: Writing) -> None:
    """Gemma 3n, whose tokens for images and sound lie beyond the embeddings by layer."""
    gemma3(writing.with_config(vocab_size_per_layer_input=None))


def gemma4(writing: Writing) -> None:
    """BPE with byte fallback under a name of its own; markup that must stay visible is no control token."""
    if not has_byte_fallback(writing.folder):
        raise lacking(writing, "a tokenizer.json with byte fallback")
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
    if writing.folder.json(SETTINGS).get("tokenizer_class") == "GPT2Tokenizer":
        writing.byte_level()
        return
    pieces = read_model(writing.folder.data(MODEL), writing.folder.shown(MODEL)).pieces
    tokens, _ = overridden(writing.folder, pieces, writing.config.get("vocab_size", len(pieces)))
    writing.scored(tokens)


def internlm2(writing: Writing) -> None:
    """tokenizer.model with its own space prefix; a chat's end of turn takes the place of eos."""
    model = read_model(writing.folder.data(MODEL), writing.folder.shown(MODEL))
    size = writing.config.get("vocab_size", len(model.pieces))
    if not isinstance(size, int) or size > len(model.pieces):
        raise writing.folder.malformed(MODEL, f"{len(model.pieces):,} pieces are fewer than {size!r} tokens")
    pieces = [_internlm2_piece(piece) for piece in model.pieces]
    tokens, listed = overridden(writing.folder, pieces, size, append=True)
    writing.tokens("llama", "default", tokens)
    writing.space_prefix(model.adds_prefix)
    found = read_specials(writing.folder, count=len(tokens.texts))
    if "eos" not in found.ids:
        raise lacking(writing, "an eos token")
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


def nemotron(writing: Writing) -> None:
    """tokenizer.model; ids that no file names."""
    writing.sentencepiece()
    writing.id("pad", 0)
    writing.id("unk", 1)


def jamba(writing: Writing) -> None:
    """tokenizer.model, else BPE with byte fallback without a space prefix."""
    if writing.folder.has(MODEL):
        writing.sentencepiece()
        return
    if not has_byte_fallback(writing.folder):
        raise lacking(writing, "a tokenizer.model, or a tokenizer.json with byte fallback")
    writing.byte_fallback()
    writing.space_prefix(False)


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
    if writing.folder.has(MODEL):
        writing.sentencepiece()
    elif writing.folder.has("tokenizer.json") and writing.folder.has("chat_template.jinja"):
        writing.byte_level()
    else:
        raise lacking(writing, "a tokenizer.model, or a tokenizer.json with chat_template.jinja")


def openelm(writing: Writing) -> None:
    """OpenELM, whose checkpoints have no tokenizer: upstream has Llama 2's built in."""
    if not writing.folder.has(MODEL):
        raise builtin(writing)
    writing.sentencepiece()


def none(writing: Writing) -> None:
    """No tokenizer at all."""
    writing.kv.string(PREFIX + "model", "none")


def _listed(writing: Writing) -> Mapping[int, Mapping[str, object]]:
    """added_tokens_decoder of tokenizer_config.json."""
    listed = writing.folder.json(SETTINGS).get("added_tokens_decoder", {})
    try:
        return {int(number): dict(entry) for number, entry in listed.items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise writing.folder.malformed(SETTINGS, f"the added tokens cannot be understood: {error}") from error


def lacking(writing: Writing, what: str) -> MissingSource:
    return MissingSource(
        f"the tokenizer needs {what}", path=str(writing.folder.root),
        remedy="fetch the tokenizer's files from the original checkpoint",
    )  # fmt: skip


def builtin(writing: Writing) -> MissingSource:
    return lacking(writing, "tokenizer files (upstream would take a vocabulary that it has built in)")
