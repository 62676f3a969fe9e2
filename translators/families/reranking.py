"""A reranker's head: of the rows of a vocabulary only those of "yes" and "no" are left.

Rules: llama.cpp b11434, conversion/qwen.py (Qwen3Model). Knows nothing of how a reranker is recognised.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from translators.errors import Unsupported
from translators.gguf_file import GgufTensor
from translators.keyvalues import KeyValues
from translators.recipes import gather


def with_judgement(
    weights: Iterable[GgufTensor], vocabulary: KeyValues, *, tied: bool
) -> Iterator[GgufTensor]:
    """The weights of a reranker: `cls.output` where the head was, or before a tied embedding.

    Raises Unsupported for a vocabulary without these words.
    """
    tokens = vocabulary["tokenizer.ggml.tokens"].strings
    if b"yes" not in tokens or b"no" not in tokens:
        raise Unsupported("a reranker's vocabulary must have yes and no", path="tokenizer.json")
    rows = (tokens.index(b"yes"), tokens.index(b"no"))
    for tensor in weights:
        if tensor.name == ("token_embd.weight" if tied else "output.weight"):
            judgement = gather(tensor.recipe, 0, rows)
            yield GgufTensor("cls.output.weight", judgement.shape, judgement)
        if tied or tensor.name != "output.weight":
            yield tensor
