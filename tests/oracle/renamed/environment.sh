#!/bin/sh
# Builds, from nothing, an environment with transformers' Flax, TensorFlow and PyTorch classes, of about 3 GB:
# .oracle/renamed. Torch and transformers are those of .oracle/conv where they are there already.
# What is complete is left alone. PRISMFS_ORACLE names another place than .oracle.
set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
oracle=${PRISMFS_ORACLE:-$root/.oracle}
mkdir -p "$oracle"
if [ ! -e "$oracle/renamed/.complete" ]; then
    rm -rf "$oracle/renamed"
    "${PYTHON:-python3}" -m venv "$oracle/renamed"
    python="$oracle/renamed/bin/python"
    "$python" -m pip install --quiet 'jax==0.6.2' 'jaxlib==0.6.2' 'flax==0.10.7' 'numpy==2.1.3' 'h5py==3.16.0' \
        'tensorflow-cpu==2.19.1' 'tf-keras==2.19.0' 'ml_dtypes==0.6.0'
    packages=$("$oracle/conv/bin/python" -c \
        'import sysconfig, torch, transformers; print(sysconfig.get_path("purelib"))' 2>/dev/null || true)
    if [ -n "$packages" ]; then
        echo "$packages" >"$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/conv.pth"
    else
        # torch's usual wheel brings CUDA along; PRISMFS_TORCH_INDEX may name an index with the smaller CPU build.
        "$python" -m pip install --quiet ${PRISMFS_TORCH_INDEX:+--extra-index-url "$PRISMFS_TORCH_INDEX"} \
            'torch==2.13.0' 'transformers==4.57.6'
    fi
    touch "$oracle/renamed/.complete"
fi
