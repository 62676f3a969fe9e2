#!/bin/sh
# Builds what `python -m tests.heavy.tokenizers --regenerate` and tests/translators/golden_vocab/regenerate.py
# need of upstream: what tests/oracle/environment.sh builds, and an environment on top of it (.oracle/vocab) with
# Mistral's library, tiktoken, and a protobuf that fits sentencepiece's own module.
# What is complete is left alone. PRISMFS_ORACLE names another place than .oracle.
set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
oracle=${PRISMFS_ORACLE:-$root/.oracle}
"$root/tests/oracle/environment.sh"
cd "$oracle"

if [ ! -e vocab/.complete ]; then
    rm -rf vocab
    conv/bin/python -m venv vocab
    packages() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])'; }
    packages conv >"$(packages vocab)/conv.pth"
    vocab/bin/python -m pip install --quiet 'mistral-common==1.13.1' 'tiktoken==0.14.0'
    vocab/bin/python -m pip install --quiet --ignore-installed --no-deps 'protobuf>=7,<8'
    touch vocab/.complete
fi
