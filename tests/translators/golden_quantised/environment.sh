#!/bin/sh
# Builds, from nothing, what regenerate.py needs beside upstream's tree (tests/oracle/environment.sh): an
# environment with PyTorch, compressed-tensors and bitsandbytes, and one module each of autoawq and auto-gptq,
# which need nothing but PyTorch to dequantise.   ./environment.sh DIRECTORY
set -eu

python=${PYTHON:-python3}
mkdir -p "$1"
cd "$1"
"$python" -m venv environment
environment/bin/python -m pip install --quiet --upgrade pip setuptools wheel
environment/bin/python -m pip install --quiet \
    ${PRISMFS_TORCH_INDEX:+--extra-index-url "$PRISMFS_TORCH_INDEX"} \
    'torch==2.13.0' 'transformers==4.57.6' 'numpy~=2.2.6' 'compressed-tensors==0.20.0' \
    'bitsandbytes==0.50.2' 'protobuf<5' sentencepiece safetensors pyyaml

environment/bin/python -m pip download --quiet --no-deps --no-build-isolation --dest downloads 'autoawq==0.2.9'
environment/bin/python -m pip download --quiet --no-deps --dest downloads 'auto-gptq==0.7.1'
tar -xzf downloads/autoawq-*.tar.gz -C downloads
cp downloads/autoawq-*/awq/utils/packing_utils.py awq_packing.py
environment/bin/python -m zipfile -e downloads/auto_gptq-*.whl downloads/auto_gptq
cp downloads/auto_gptq/auto_gptq/nn_modules/qlinear/qlinear_cuda.py gptq_linear.py
rm -rf downloads
