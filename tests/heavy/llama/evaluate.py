"""Has llama.cpp evaluate GGUF files, each in a fork: a line of JSON in, a line of JSON out.

    $PRISMFS_ORACLE/llama/bin/python evaluate.py
    {"model": FILE, "out": FILE}      -> {"kind": "logits", "shape": [30, 416]}, and float32 values in `out`
                                      ... {"refused": what llama.cpp said}: refused, aborted, too slow

A decoder: the logits of every token of a prompt, and of a few tokens given one at a time afterwards. An
encoder and decoder: the logits behind a prompt that was encoded. An embedding model: the pooled embedding
of the prompt, or each token's; with "tokens", of these, normalised. Mapped, one thread, the token ids the
same for every model of as many tokens. Imports nothing of this project.
"""

import ctypes
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np

PROMPT, FOLLOWING = 24, 6
LONGEST = 600  # seconds that an evaluation may take
_NO_POOLING = 0
_ERROR = 4


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def _errors(level: int, text: bytes, data: object) -> None:
    """Of llama.cpp's log only errors are told."""
    if level == _ERROR:
        sys.stderr.write(text.decode(errors="replace"))


class Evaluation:
    """A loaded model and a context of it. Raises SystemExit where llama.cpp refuses."""

    def __init__(self, path: str) -> None:
        llama_cpp.llama_log_set(_errors, ctypes.c_void_p(0))
        parameters = llama_cpp.llama_model_default_params()
        parameters.load_mode = 1  # LLAMA_LOAD_MODE_MMAP
        self.model = llama_cpp.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self.model:
            sys.exit("it is not loaded")
        settings = llama_cpp.llama_context_default_params()
        settings.n_ctx = settings.n_batch = settings.n_ubatch = 512
        settings.n_threads = settings.n_threads_batch = 1
        self.context = llama_cpp.llama_init_from_model(self.model, settings)
        if not self.context:
            sys.exit("there is no context of it")
        self.tokens = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(self.model))
        self._position = 0

    def embeds(self) -> bool:
        """Whether it is a model whose output is an embedding."""
        pooled = llama_cpp.llama_pooling_type(self.context) != _NO_POOLING
        return pooled or not self._decodes() or not llama_cpp.llama_get_memory(self.context)

    def _decodes(self) -> bool:
        return bool(llama_cpp.llama_model_has_decoder(self.model))

    def embedding(self, ids: list[int]) -> np.ndarray:
        """The pooled embedding, or scores, [1, size]; without pooling each token's, [tokens, size]."""
        llama_cpp.llama_set_embeddings(self.context, True)
        self._position = 0
        self._run(llama_cpp.llama_decode if self._decodes() else llama_cpp.llama_encode, ids)
        size = llama_cpp.llama_model_n_embd_out(self.model)
        pooling = llama_cpp.llama_pooling_type(self.context)
        if pooling == _NO_POOLING:
            each = [llama_cpp.llama_get_embeddings_ith(self.context, at)[:size] for at in range(len(ids))]
            return np.array(each, np.float32)
        if pooling == llama_cpp.LLAMA_POOLING_TYPE_RANK:
            size = llama_cpp.llama_model_n_cls_out(self.model)
        return np.array([llama_cpp.llama_get_embeddings_seq(self.context, 0)[:size]], np.float32)

    def logits(self, ids: list[int], following: list[int]) -> np.ndarray:
        """[tokens given to the decoder, vocabulary]."""
        if llama_cpp.llama_model_has_encoder(self.model):
            self._run(llama_cpp.llama_encode, ids)
            self._position = 0
            ids = [max(0, llama_cpp.llama_model_decoder_start_token(self.model))]
        found = [self._decoded(ids), *(self._decoded([number]) for number in following)]
        return np.concatenate(found)

    def _decoded(self, ids: list[int]) -> np.ndarray:
        self._run(llama_cpp.llama_decode, ids)
        rows = (llama_cpp.llama_get_logits_ith(self.context, at)[: self.tokens] for at in range(len(ids)))
        return np.array(list(rows), np.float32)

    def _run(self, function: Any, ids: list[int]) -> None:
        batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for at, number in enumerate(ids):
            batch.token[at] = number
            batch.pos[at] = self._position + at
            batch.n_seq_id[at] = 1
            batch.seq_id[at][0] = 0
            batch.logits[at] = 1
        if answer := function(self.context, batch):
            sys.exit(f"it is not evaluated: {answer}")
        llama_cpp.llama_batch_free(batch)
        self._position += len(ids)


def evaluate(request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request; raises SystemExit where llama.cpp refuses."""
    run = Evaluation(request["model"])
    ids = [(7 + 37 * at) % run.tokens for at in range(PROMPT + FOLLOWING)]
    embeds = run.embeds()
    if "tokens" in request:
        made = np.concatenate([run.embedding(tokens) for tokens in request["tokens"]])
        made /= np.linalg.norm(made, axis=1, keepdims=True)
    else:
        made = run.embedding(ids) if embeds else run.logits(ids[:PROMPT], ids[PROMPT:])
    Path(request["out"]).write_bytes(made.tobytes())
    return {"kind": "embedding" if embeds else "logits", "shape": made.shape}


def main() -> None:
    """Answer until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        with tempfile.TemporaryFile() as log:
            child = os.fork()
            if not child:
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
                signal.alarm(LONGEST)
                answer = json.dumps(evaluate(json.loads(line)))
                answers.write(answer + "\n")
                answers.flush()
                os._exit(0)
            _, status = os.waitpid(child, 0)
            if status:
                log.seek(0)
                said = log.read().decode(errors="replace") or f"it ended with {status}"
                answers.write(json.dumps({"refused": said}) + "\n")
                answers.flush()


if __name__ == "__main__":
    main()
