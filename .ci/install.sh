#!/usr/bin/env bash
# Installs the Debian packages that are named; does nothing where none is.
set -euo pipefail

[ $# -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null; then
    echo "Please install with your package manager: $*" >&2
    exit 1
fi
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
echo "Installing $*" >&2
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null
