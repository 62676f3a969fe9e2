#!/bin/sh
# Makes .oracle/peft: what `make oracle` has in .oracle/conv (torch, transformers), and PEFT. Prints its Python.
set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
oracle=${PRISMFS_ORACLE:-$root/.oracle}
"$root/tests/oracle/environment.sh" >&2
cd "$oracle"
if [ ! -e peft/.complete ]; then
    rm -rf peft
    "${PYTHON:-python3}" -m venv peft
    site='import site; print(site.getsitepackages()[0])'
    "$oracle/conv/bin/python" -c "$site" >"$(peft/bin/python -c "$site")/conv.pth"
    peft/bin/python -m pip install --quiet --no-deps 'peft==0.21.2' 'accelerate==1.15.0' psutil >&2
    touch peft/.complete
fi
echo "$oracle/peft/bin/python"
