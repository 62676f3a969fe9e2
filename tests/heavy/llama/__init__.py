"""Real llama.cpp on files read straight from a mount, against upstream's files.

__main__    every tiny model is loaded and evaluated: the same numbers as from upstream's file
evaluate    what runs in llama.cpp's environment
minilm      the real MiniLM's embeddings against sentence-transformers', which is sentences.py
"""
