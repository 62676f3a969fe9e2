#!/bin/sh
# Makes .oracle/peft: what `make oracle` has in .oracle/conv (torch, transformers), PEFT and bitsandbytes, and of
# auto-gptq and autoawq one module each, which need nothing but PyTorch to dequantise. Prints its Python.
set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
oracle=${PRISMFS_ORACLE:-$root/.oracle}
"$root/tests/oracle/environment.sh" >&2
cd "$oracle"
if [ ! -e peft/.complete-with-quantised ]; then
    rm -rf peft
    "${PYTHON:-python3}" -m venv peft
    site='import site; print(site.getsitepackages()[0])'
    "$oracle/conv/bin/python" -c "$site" >"$(peft/bin/python -c "$site")/conv.pth"
    peft/bin/python -m pip install --quiet --no-deps \
        'peft==0.21.2' 'accelerate==1.15.0' 'bitsandbytes==0.50.2' psutil >&2
    peft/bin/python -m pip install --quiet setuptools wheel >&2
    peft/bin/python -m pip download --quiet --no-deps --no-build-isolation --dest peft/downloads 'autoawq==0.2.9' >&2
    peft/bin/python -m pip download --quiet --no-deps --dest peft/downloads 'auto-gptq==0.7.1' >&2
    tar -xzf peft/downloads/autoawq-*.tar.gz -C peft/downloads
    cp peft/downloads/autoawq-*/awq/utils/packing_utils.py peft/awq_packing.py
    peft/bin/python -m zipfile -e peft/downloads/auto_gptq-*.whl peft/downloads/auto_gptq
    cp peft/downloads/auto_gptq/auto_gptq/nn_modules/qlinear/qlinear_cuda.py peft/gptq_linear.py
    rm -rf peft/downloads
    touch peft/.complete-with-quantised
fi
echo "$oracle/peft/bin/python"
