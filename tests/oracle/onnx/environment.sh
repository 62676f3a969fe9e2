#!/bin/sh
# Builds, from nothing, an environment with ONNX Runtime, onnxruntime-genai, OpenVINO and transformers, of
# about 1.5 GB (with torch's CPU build): .oracle/onnx.
# What is complete is left alone. PRISMFS_ORACLE names another place than .oracle.
set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
oracle=${PRISMFS_ORACLE:-$root/.oracle}
[ -e "$oracle/onnx/.complete" ] && exit
mkdir -p "$oracle"
rm -rf "$oracle/onnx"
"${PYTHON:-python3}" -m venv "$oracle/onnx"
# torch's usual wheel brings CUDA along; PRISMFS_TORCH_INDEX may name an index with the smaller CPU build.
"$oracle/onnx/bin/python" -m pip install --quiet \
    ${PRISMFS_TORCH_INDEX:+--extra-index-url "$PRISMFS_TORCH_INDEX"} \
    'torch==2.13.0' 'transformers==4.57.6' 'numpy~=2.2.6' sentencepiece \
    'onnx==1.23.2' 'onnxruntime==1.32.0' 'onnxruntime-genai==0.18.0' 'openvino==2026.4.1'
touch "$oracle/onnx/.complete"
