#!/usr/bin/env bash
# What the benchmarks measure with, those that are missing: fio and rclone (Debian's packages), and py-spy in an
# environment of its own, as it is no part of what is measured.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for tool in fio rclone; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
if [ ${#missing[@]} -gt 0 ]; then
    if ! command -v apt-get >/dev/null; then
        echo "Please install with your package manager: ${missing[*]}" >&2
        exit 1
    fi
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    echo "Installing ${missing[*]}" >&2
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ ! -x .benchmarks/profiler/bin/py-spy ]; then
    "${PYTHON:-python3}" -m venv .benchmarks/profiler
    .benchmarks/profiler/bin/python -m pip install --quiet 'py-spy>=0.4,<0.5'
fi
