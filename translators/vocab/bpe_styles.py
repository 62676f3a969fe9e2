"""The styles of families whose vocabularies are byte-level BPE, with an exception or two of their own.

Some round the vocabulary up, some have ids by their tokens' texts. Facts: the `set_vocab` methods of
llama.cpp b11434's converter.
"""

from __future__ import annotations

from translators.errors import TranslationError, Unsupported
from translators.vocab.bpe import tokens_by_id
from translators.vocab.styles import INFILL, MODEL, SETTINGS, builtin, lacking
from translators.vocab.tokens import SPACE_MARK, Tokens, TokenType
from translators.vocab.writing import Writing


def mpt(writing: Writing) -> None:
    """Byte-level BPE; SEA-LION's tokenizer.model where that cannot be had."""
    try:
        writing.byte_level()
    except TranslationError:
        if not writing.folder.has(MODEL):
            raise
        writing.sentencepiece()
        writing.adds("bos", False)
        for kind, number in (("pad", 3), ("eos", 1), ("unk", 0)):
            writing.id(kind, number)


def mamba(writing: Writing) -> None:
    """Mamba-1 and FalconMamba: a vocabulary of whole eights; tokenizer.json first."""
    padded = _padded(writing, 8)
    if padded.folder.has("tokenizer.json"):
        padded.byte_level()
    elif padded.folder.has(MODEL):
        padded.sentencepiece()
    else:
        raise builtin(writing)


def mamba2(writing: Writing) -> None:
    """Mamba-2: whole sixteens, or what pad_vocab_size_multiple says; tokenizer.model first."""
    padded = _padded(writing, 16)
    if padded.folder.has(MODEL):
        padded.sentencepiece()
    elif padded.folder.has("tokenizer.json"):
        padded.byte_level()
    else:
        raise builtin(writing)


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
            "ChatGLM3's tokenizer is code of the checkpoint's own", path=writing.folder.shown(SETTINGS)
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
            path=writing.folder.shown(SETTINGS), place="add_bos_token",
            remedy="set add_bos_token to true, as the original checkpoint has it",
        )  # fmt: skip
    writing.byte_level()


def refact(writing: Writing) -> None:
    """Refact: byte-level BPE."""
    writing.byte_level()
    writing.specials(kinds=INFILL, template=False)


def minimax(writing: Writing) -> None:
    """MiniMax-Text-01 and M1: the template of chat_template.jinja, whatever the settings hold."""
    if not writing.folder.has("chat_template.jinja"):
        raise lacking(writing, "a chat_template.jinja (upstream has one built in)")
    writing.byte_level()
    template(writing)


def template(writing: Writing) -> None:
    """chat_template.jinja in place of any other."""
    writing.kv.string("tokenizer.chat_template", writing.folder.text("chat_template.jinja"))


def without_marks(tokens: Tokens) -> None:
    """mmBERT's added runs of spaces, which its own tokenizer never finds, as ordinary tokens."""
    for number, kind in enumerate(tokens.types):
        text = tokens.texts[number]
        if kind is TokenType.USER_DEFINED and text and not text.strip(b" "):
            tokens.texts[number] = SPACE_MARK.encode() * len(text)
            tokens.types[number] = TokenType.NORMAL
