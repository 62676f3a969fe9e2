#!/bin/sh
# Builds, from nothing, what `make meta-check` needs beside ../environment.sh: .oracle/meta, 300 MB.
#   env       the converter's environment (.oracle/conv) with Meta's own package and its tokenizers
#   scripts   transformers' converter of Meta's originals, which later releases leave out of their wheels
# What is complete is left alone. PRISMFS_ORACLE names another place than .oracle.
set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
oracle=${PRISMFS_ORACLE:-$root/.oracle}
[ -e "$oracle/conv/.complete" ] || "$root/tests/oracle/environment.sh"
[ -e "$oracle/meta/.complete" ] && exit
rm -rf "$oracle/meta"
mkdir -p "$oracle/meta/scripts"
cd "$oracle/meta"
"${PYTHON:-python3}" -m venv env
packages=$(env/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
../conv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' >"$packages/conv.pth"
env/bin/python -m pip install --quiet --no-deps 'llama-models==0.3.0' 'protobuf>=7,<8' 'tiktoken==0.14.0' \
    'mistral-common==1.13.1' 'pydantic==2.13.4' 'pydantic-core==2.46.4' pydantic-extra-types \
    annotated-types typing-inspection jsonschema jsonschema-specifications referencing rpds-py attrs \
    pycountry pillow requests urllib3 idna certifi charset-normalizer typing-extensions regex
env/bin/python -m pip download --quiet --no-deps --dest wheel 'transformers==4.46.3'
env/bin/python -m zipfile -e wheel/*.whl unpacked
mv unpacked/transformers/models/llama/convert_llama_weights_to_hf.py scripts/
rm -rf wheel unpacked
touch .complete
