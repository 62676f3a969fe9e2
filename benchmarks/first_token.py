"""Load a model file with llama.cpp and make one token: what a first user waits for. Usage: FILE."""

import sys

from examples.ask import answer

if __name__ == "__main__":
    answer(sys.argv[1], "Hello", tokens=1)
