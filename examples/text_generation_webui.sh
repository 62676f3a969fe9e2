#!/usr/bin/env bash
# Serve a mounted model by text-generation-webui: text_generation_webui.sh MOUNTPOINT/MODEL [TYPE]
#
# Run it in a checkout of that program, which finds models by a directory and a name: the GGUF under the name
# that people use. For its transformers loader: --model-dir MOUNTPOINT/MODEL --model hf-bf16.
# Not run by `make examples-check`: the program is no package of an index. Its llama.cpp loader opens the file
# as llama.cpp does, which examples/llama_cpp.sh shows.
set -euo pipefail

model=${1:?usage: text_generation_webui.sh MOUNTPOINT/MODEL [TYPE]}
type=${2:-Q4_K_M}
exec python server.py --model-dir "$model/gguf" --model "$(basename "$model")-${type^^}.gguf" --loader llama.cpp
