"""Ask a model a question with llama.cpp (through the package xllamacpp): ask.py MODEL QUESTION [TOKENS]."""

import sys

import xllamacpp


def answer(model: str, question: str, tokens: int = 48) -> str:
    """What `model`, any file that llama.cpp reads, says to `question`; greedy, so always the same."""
    parameters = xllamacpp.CommonParams()
    parameters.model.path = model
    parameters.n_ctx = 1024
    parameters.warmup = False
    parameters.verbosity = -1
    server = xllamacpp.Server(parameters)
    request = {
        "messages": [{"role": "user", "content": question}],
        "max_tokens": tokens,
        "temperature": 0.0,
        "top_k": 1,
    }
    return str(server.handle_chat_completions(request)["choices"][0]["message"]["content"])


if __name__ == "__main__":
    print(answer(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:])))
