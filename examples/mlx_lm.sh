#!/usr/bin/env bash
# Ask a mounted model by mlx-lm: mlx_lm.sh MOUNTPOINT/MODEL QUESTION [FOLDER]
#
# FOLDER is mlx-4bit by default; mlx-8bit, and mlx-3bit-g32 and the like, can be opened by name as well.
# Run by `make examples-check` with mlx-lm 0.32 on Linux (`pip install 'mlx[cpu]' mlx-lm`); not on a Mac.
set -euo pipefail

model=${1:?usage: mlx_lm.sh MOUNTPOINT/MODEL QUESTION [FOLDER]}
exec mlx_lm.generate --model "$model/${3:-mlx-4bit}" --prompt "${2:?a question is missing}" \
    --max-tokens 24 --temp 0
