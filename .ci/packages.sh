#!/usr/bin/env bash
# Installs the Debian packages that prismfs, its demo and its tests need, those that are missing: FUSE's
# library and mount program, Python's venv, OpenMP's library (for llama.cpp), and rsync, which the tests try.
set -euo pipefail

missing=()
command -v fusermount3 >/dev/null || missing+=(fuse3)
ldconfig -p 2>/dev/null | grep -q 'libfuse3\.so' || missing+=(libfuse3-3)
ldconfig -p 2>/dev/null | grep -q 'libgomp\.so\.1' || missing+=(libgomp1)
"${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
command -v rsync >/dev/null || missing+=(rsync)
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "Please install with your package manager: ${missing[*]}" >&2
    exit 1
fi
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
echo "Installing ${missing[*]}" >&2
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
