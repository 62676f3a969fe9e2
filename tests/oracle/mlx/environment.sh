#!/bin/sh
# Builds, from nothing, an environment with MLX on a processor and mlx-lm, of about 600 MB: .oracle/mlx.
# What is complete is left alone. PRISMFS_ORACLE names another place than .oracle.
set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
oracle=${PRISMFS_ORACLE:-$root/.oracle}
[ -e "$oracle/mlx/.complete" ] && exit
mkdir -p "$oracle"
rm -rf "$oracle/mlx"
"${PYTHON:-python3}" -m venv "$oracle/mlx"
"$oracle/mlx/bin/python" -m pip install --quiet 'mlx[cpu]==0.32.4' 'mlx-lm==0.32.2'
touch "$oracle/mlx/.complete"
