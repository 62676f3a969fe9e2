#!/usr/bin/env bash
# Installs the Debian packages that prismfs, its demo and its tests need, those that are missing: FUSE's
# library and mount program, Python's venv, OpenMP's library (for llama.cpp), a C compiler for the kernels, and
# what the tests try: rsync, the shells zsh and fish, groff, systemd's own checks of units, and Chromium with its
# driver (350 MB), in which the daemon's page is looked at.
set -euo pipefail

missing=()
command -v fusermount3 >/dev/null || missing+=(fuse3)
ldconfig -p 2>/dev/null | grep -q 'libfuse3\.so' || missing+=(libfuse3-3)
ldconfig -p 2>/dev/null | grep -q 'libgomp\.so\.1' || missing+=(libgomp1)
"${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
command -v gcc >/dev/null || missing+=(gcc libc6-dev)
command -v rsync >/dev/null || missing+=(rsync)
command -v zsh >/dev/null || missing+=(zsh)
command -v fish >/dev/null || missing+=(fish)
command -v groff >/dev/null || missing+=(groff-base)
command -v systemd-analyze >/dev/null || missing+=(systemd)
command -v chromium >/dev/null || missing+=(chromium)
command -v chromedriver >/dev/null || missing+=(chromium-driver)
"$(dirname "$0")/install.sh" ${missing[@]+"${missing[@]}"}
