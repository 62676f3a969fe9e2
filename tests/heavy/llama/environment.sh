#!/bin/sh
# Builds what `python -m tests.heavy.llama.minilm` needs of upstream: what tests/oracle/environment.sh builds, and
# an environment on top of its torch and transformers (.oracle/sentences) with sentence-transformers.
# What is complete is left alone. PRISMFS_ORACLE names another place than .oracle.
set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
oracle=${PRISMFS_ORACLE:-$root/.oracle}
"$root/tests/oracle/environment.sh"
cd "$oracle"

if [ ! -e sentences/.complete ]; then
    rm -rf sentences
    conv/bin/python -m venv sentences
    packages() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])'; }
    packages conv >"$(packages sentences)/conv.pth"
    sentences/bin/python -m pip install --quiet 'sentence-transformers==5.2.3'
    touch sentences/.complete
fi
