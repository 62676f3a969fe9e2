"""Tokenizer files <-> the tokenizer.* key-values of a GGUF, both ways, without transformers or sentencepiece.

`write_tokenizer` reads a Hugging Face directory and writes what llama.cpp's converter would write;
`huggingface_files` makes the files of a Hugging Face tokenizer out of a GGUF's key-values. Neither runs
anything that a directory contains. Knows nothing of tensors, architectures or the rest of a GGUF.
"""

from translators.vocab.from_huggingface import write_tokenizer
from translators.vocab.to_huggingface import huggingface_files

__all__ = ["huggingface_files", "write_tokenizer"]
