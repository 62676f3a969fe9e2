"""The styles of encoders: BERT and its kin, XLM-R and T5.

WordPiece becomes "phantom spaces": what may start a word has a mark before it, what continues one lacks its
`##`. Facts: `conversion/bert.py` and `conversion/t5.py` of llama.cpp b11434.
"""

from __future__ import annotations

from translators.errors import MissingSource, Unsupported
from translators.keyvalues import ValueType
from translators.vocab.bpe import byte_level
from translators.vocab.bpe_styles import without_marks
from translators.vocab.document import document_of
from translators.vocab.sentencepiece import BPE, UNIGRAM, read_model
from translators.vocab.stored import PREFIX
from translators.vocab.tokens import SPACE_MARK, Tokens, TokenType
from translators.vocab.unigram import Unigram, of_json, of_t5, of_xlm_roberta
from translators.vocab.writing import Writing

_ORIGINAL = "use the original checkpoint's tokenizer files"


def bert(writing: Writing) -> None:
    """WordPiece with phantom spaces: BERT, BGE, E5, MiniLM, DistilBERT, Nomic."""
    tokens, pre = byte_level(writing.folder, writing.config, writing.tokenizer)
    _token_types(writing)
    texts = [_phantom(text, kind) for text, kind in zip(tokens.texts, tokens.types, strict=True)]
    writing.tokens("bert", pre, Tokens(texts, tokens.types))
    writing.specials(count=len(texts))


def _phantom(text: bytes, kind: TokenType) -> bytes:
    if kind is TokenType.CONTROL:
        return text
    return text[2:] if text.startswith(b"##") else SPACE_MARK.encode() + text


def _token_types(writing: Writing, count: int | None = None) -> None:
    count = writing.config.get("type_vocab_size", 1) if count is None else count
    if not isinstance(count, int) or not 0 <= count < 1 << 32:
        raise writing.folder.malformed("config.json", f"{count!r} is no count", "type_vocab_size")
    writing.kv.u32(PREFIX + "token_type_count", count)


def roberta(writing: Writing) -> None:
    """RoBERTa: byte-level BPE where there is a tokenizer.json."""
    if not writing.folder.has("tokenizer.json"):
        bert(writing)
        return
    writing.byte_level()
    _token_types(writing)


def xlm_roberta(writing: Writing) -> None:
    """XLM-R, BGE-M3, multilingual E5: Unigram, from sentencepiece.bpe.model or else from tokenizer.json."""
    name = "sentencepiece.bpe.model"
    if writing.folder.has(name):
        path = writing.folder.shown(name)
        model = read_model(writing.folder.data(name), path)
        if model.kind != UNIGRAM:
            raise Unsupported("the SentencePiece model is no Unigram", path=path, remedy=_ORIGINAL)
        unigram = of_xlm_roberta(writing.config, model, path, mask=writing.arch == "nomic-bert-moe")
    else:
        if not writing.folder.has("tokenizer.json"):
            raise MissingSource(
                "neither sentencepiece.bpe.model nor tokenizer.json", path=str(writing.folder.root),
                remedy="fetch the tokenizer's files too",
            )  # fmt: skip
        unigram = of_json(writing.folder, writing.config, writing.tokenizer)
    _write_unigram(writing, unigram, types=True)


def _write_unigram(writing: Writing, unigram: Unigram, *, types: bool) -> None:
    writing.tokens("t5", "default", unigram.tokens)
    writing.space_prefix(unigram.adds_prefix)
    if types:
        _token_types(writing)
    writing.kv.bool(PREFIX + "remove_extra_whitespaces", unigram.removes_spaces)
    if unigram.characters:
        writing.kv.array(PREFIX + "precompiled_charsmap", ValueType.U8, unigram.characters)
    writing.specials(count=len(unigram.tokens.texts))


def nomic_bert(writing: Writing) -> None:
    """Nomic Embed: WordPiece (v1) or XLM-R's Unigram (v2), as tokenizer.json says."""
    model = document_of(writing.folder).json.get("model")
    kind = model.get("type") if isinstance(model, dict) else None
    if kind == "Unigram":
        xlm_roberta(writing)
    elif kind == "WordPiece":
        bert(writing)
    else:
        raise Unsupported(
            f"a tokenizer of type {kind!r} is none of Nomic's", path=writing.folder.shown("tokenizer.json"),
            remedy=_ORIGINAL,
        )  # fmt: skip


def jina_bert_v2(writing: Writing) -> None:
    """Jina Embeddings v2: WordPiece, byte-level BPE (code), or words split at spaces."""
    kind = writing.folder.json("tokenizer_config.json").get("tokenizer_class")
    if kind == "BertTokenizer":
        bert(writing)
        return
    if kind != "RobertaTokenizer":
        raise Unsupported(
            f"the tokenizer class {kind!r} is none of Jina's",
            path=writing.folder.shown("tokenizer_config.json"), place="tokenizer_class", remedy=_ORIGINAL,
        )  # fmt: skip
    step = document_of(writing.folder).json.get("pre_tokenizer") or {}
    if step.get("type") == "Whitespace":
        tokens, _ = byte_level(writing.folder, writing.config, writing.tokenizer)
        writing.tokens("whitespace", "whitespace", tokens)
        writing.specials(merges=True)
    else:
        writing.byte_level()
    _token_types(writing, 2)


def modern_bert(writing: Writing) -> None:
    """ModernBERT, mmBERT, Granite Embedding R2: byte-level BPE between bos, sep and eos."""
    for kind in ("bos", "eos", "sep"):
        writing.adds(kind, True)
    tokens, pre = byte_level(writing.folder, writing.config, writing.tokenizer)
    if pre == "mmbert":
        without_marks(tokens)
    writing.tokens("gpt2", pre, tokens)
    writing.specials(merges=True)


def eurobert(writing: Writing) -> None:
    """EuroBERT: byte-level BPE, without bos unless the files ask for it."""
    writing.adds("bos", False)
    writing.byte_level()


def t5(writing: Writing) -> None:
    """T5, Flan-T5, MT5, UMT5: Unigram of tokenizer.model or spiece.model; Pile-T5: BPE of tokenizer.model."""
    name = "tokenizer.model" if writing.folder.has("tokenizer.model") else "spiece.model"
    if not writing.folder.has(name):
        raise MissingSource(
            "neither tokenizer.model nor spiece.model", path=str(writing.folder.root),
            remedy="fetch spiece.model of the original checkpoint",
        )  # fmt: skip
    model = read_model(writing.folder.data(name), writing.folder.shown(name))
    if model.kind == BPE and name == "tokenizer.model":
        writing.sentencepiece()
    elif model.kind == UNIGRAM:
        _write_unigram(writing, of_t5(writing.folder, writing.config, model, name), types=False)
    else:
        path = writing.folder.shown(name)
        raise Unsupported("the SentencePiece model is no Unigram", path=path, remedy=_ORIGINAL)
