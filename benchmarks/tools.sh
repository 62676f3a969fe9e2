#!/usr/bin/env bash
# What the benchmarks measure with, those that are missing: fio and rclone (Debian's packages), and py-spy in an
# environment of its own, as it is no part of what is measured.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for tool in fio rclone; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
.ci/install.sh ${missing[@]+"${missing[@]}"}

if [ ! -x .benchmarks/profiler/bin/py-spy ]; then
    "${PYTHON:-python3}" -m venv .benchmarks/profiler
    .benchmarks/profiler/bin/python -m pip install --quiet 'py-spy>=0.4,<0.5'
fi
