#!/bin/sh
# Makes one of two environments in .oracle, and prints its Python:
#   peft        what `make oracle` has in .oracle/conv (torch, transformers 4), PEFT and bitsandbytes, and of
#               auto-gptq and autoawq one module each, which need nothing but PyTorch to dequantise
#   peft-newer  PEFT with transformers 5, which has experts in one tensor that files hold one by one
set -eu

name=${1:-peft}
root=$(cd "$(dirname "$0")/../../.." && pwd)
oracle=${PRISMFS_ORACLE:-$root/.oracle}
"$root/tests/oracle/environment.sh" >&2
cd "$oracle"

install() { "$name/bin/python" -m pip install --quiet "$@" >&2; }
download() { "$name/bin/python" -m pip download --quiet --no-deps --dest "$name/downloads" "$@" >&2; }

modules() { # the two that dequantise
    download --no-build-isolation 'autoawq==0.2.9'
    download 'auto-gptq==0.7.1'
    tar -xzf peft/downloads/autoawq-*.tar.gz -C peft/downloads
    cp peft/downloads/autoawq-*/awq/utils/packing_utils.py peft/awq_packing.py
    peft/bin/python -m zipfile -e peft/downloads/auto_gptq-*.whl peft/downloads/auto_gptq
    cp peft/downloads/auto_gptq/auto_gptq/nn_modules/qlinear/qlinear_cuda.py peft/gptq_linear.py
    rm -rf peft/downloads
}

if [ ! -e "$name/.complete-2" ]; then
    rm -rf "$name"
    "${PYTHON:-python3}" -m venv "$name"
    # What is installed here comes before what conv has.
    site='import site; print(site.getsitepackages()[0])'
    conv/bin/python -c "$site" >"$("$name/bin/python" -c "$site")/zz-conv.pth"
    install setuptools wheel
    install --no-deps 'peft==0.21.2' 'accelerate==1.15.0' psutil
    if [ "$name" = peft ]; then
        install --no-deps 'bitsandbytes==0.50.2'
        modules
    else
        install 'transformers==5.23.0'
    fi
    touch "$name/.complete-2"
fi
echo "$oracle/$name/bin/python"
