#!/bin/sh
# Builds, from nothing, an environment with transformers' Flax, TensorFlow and PyTorch classes: .oracle/renamed, of
# 2 GB where .oracle/conv has torch and transformers already, which are taken from there, else of 3.
# What is complete is left alone. PRISMFS_ORACLE names another place than .oracle.
set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
oracle=${PRISMFS_ORACLE:-$root/.oracle}
mkdir -p "$oracle"
cd "$oracle"
[ -e renamed/.complete ] && exit
rm -rf renamed
conv=conv/bin/python
[ -x "$conv" ] && "$conv" -c 'import torch, transformers' || conv=
"${conv:-${PYTHON:-python3}}" -m venv renamed
python=renamed/bin/python
$python -m pip install --quiet 'jax==0.6.2' 'jaxlib==0.6.2' 'flax==0.10.7' 'numpy==2.1.3' 'h5py==3.16.0' \
    'tensorflow-cpu==2.19.1'
# It asks for the tensorflow that brings CUDA along.
$python -m pip install --quiet --no-deps 'tf-keras==2.19.0'
if [ -n "$conv" ]; then
    own=$($python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
    "$conv" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$own/conv.pth"
else
    # torch's usual wheel brings CUDA along; PRISMFS_TORCH_INDEX may name an index with the smaller CPU build.
    $python -m pip install --quiet ${PRISMFS_TORCH_INDEX:+--extra-index-url "$PRISMFS_TORCH_INDEX"} \
        'torch==2.13.0' 'transformers==4.57.6'
fi
touch renamed/.complete
