#!/bin/sh
# Makes the environment that fuzzing runs in: atheris, and all that the project's own environment has.
# What is complete is left alone. PRISMFS_FUZZ names another place than .fuzz; the first argument is the
# project's own Python.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
fuzz=${PRISMFS_FUZZ:-$root/.fuzz}
python=$(command -v "${1:-$root/.venv/bin/python}")

[ -e "$fuzz/.complete" ] && exit
rm -rf "$fuzz/environment"
"$python" -m venv "$fuzz/environment"
"$fuzz/environment/bin/python" -m pip install --quiet 'atheris>=3,<4'
own=$("$fuzz/environment/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$own/prismfs.pth"
touch "$fuzz/.complete"
