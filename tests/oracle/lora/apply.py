"""Has llama.cpp apply adapters: MODEL ADAPTER OUT_FILE, three by three ("-": no adapter); logits as float32.

    $PRISMFS_ORACLE/llama/bin/python apply.py MODEL ADAPTER OUT ...

The logits of every token of a prompt, whose ids are the same for every model of as many tokens.
Imports nothing of this project.
"""

import ctypes
import os
import sys

import llama_cpp
import numpy as np

TOKENS = 24


@ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)
def _errors(level: int, text: bytes, data: object) -> None:
    if level == 4:
        sys.stderr.write(text.decode(errors="replace"))


def logits(path: str, adapter: str) -> np.ndarray:
    """[TOKENS, vocabulary]."""
    model = llama_cpp.llama_model_load_from_file(os.fsencode(path), llama_cpp.llama_model_default_params())
    settings = llama_cpp.llama_context_default_params()
    settings.n_ctx = settings.n_batch = settings.n_ubatch = 64
    settings.n_threads = settings.n_threads_batch = 1
    context = llama_cpp.llama_init_from_model(model, settings)
    if adapter != "-":
        loaded = llama_cpp.llama_adapter_lora_init(model, os.fsencode(adapter))
        if not loaded:
            raise SystemExit(f"{adapter} is not loaded")
        adapters = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(loaded)
        if llama_cpp.llama_set_adapters_lora(context, adapters, 1, (ctypes.c_float * 1)(1.0)):
            raise SystemExit(f"{adapter} is not applied")
    size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
    batch = llama_cpp.llama_batch_init(TOKENS, 0, 1)
    batch.n_tokens = TOKENS
    for at in range(TOKENS):
        batch.token[at], batch.pos[at], batch.logits[at] = (7 * at + 3) % (size - 8), at, True
        batch.n_seq_id[at], batch.seq_id[at][0] = 1, 0
    if llama_cpp.llama_decode(context, batch):
        raise SystemExit(f"{path} is not evaluated")
    return np.array([llama_cpp.llama_get_logits_ith(context, at)[:size] for at in range(TOKENS)], np.float32)


if __name__ == "__main__":
    llama_cpp.llama_log_set(_errors, ctypes.c_void_p(0))
    for number in range(1, len(sys.argv), 3):
        model, adapter, out = sys.argv[number : number + 3]
        logits(model, adapter).tofile(out)
