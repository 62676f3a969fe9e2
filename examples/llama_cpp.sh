#!/usr/bin/env bash
# Ask a mounted model by llama.cpp: llama_cpp.sh MOUNTPOINT/MODEL QUESTION [TYPE]
#
# TYPE is any of llama-quantize's, listed or not; the first question pays for the translation, the next ones
# read what is kept. `llama-server -m` takes the same file, and MODEL/mmproj-f16.gguf by `--mmproj`.
# Run by `make examples-check`, where llama-cli is not installed: through xllamacpp, which is llama.cpp itself.
set -euo pipefail

model=${1:?usage: llama_cpp.sh MOUNTPOINT/MODEL QUESTION [TYPE]}
question=${2:?a question is missing}
file=$model/model.gguf-${3:-q4_k_m}

if command -v llama-cli >/dev/null; then
    exec llama-cli -m "$file" -p "$question" -n 48 --temp 0 --single-turn
fi
exec "${PYTHON:-python3}" "$(dirname "$0")/ask.py" "$file" "$question"
