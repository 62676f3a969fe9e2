"""Directories of made-up tokenizer files, and what upstream's converter writes for each of them."""
