"""Real llama.cpp on files read straight from a mount, against upstream's files and transformers.

    __main__    every tiny model is loaded and evaluated: the same numbers as from upstream's file
    minilm      the real MiniLM: the same embeddings as sentence-transformers
    evaluate    what runs in llama.cpp's environment
"""
