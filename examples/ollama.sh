#!/usr/bin/env bash
# Serve every mounted model by Ollama, in every listed type: ollama.sh MOUNTPOINT [UPPER]
#
# Without UPPER the store is read-only: list, show, run and the API work; pull, create and rm say that it is.
# With UPPER (as root; a directory on a local disk) what Ollama writes lands there, as small files: an overlay,
# whose metacopy=on keeps a blob that is only touched from being copied.
set -euo pipefail

mountpoint=${1:?usage: ollama.sh MOUNTPOINT [UPPER]}
store=$mountpoint/.prismfs/ollama

if [ $# -gt 1 ]; then
    upper=$2
    mkdir -p "$upper/upper" "$upper/work" "$upper/store"
    mountpoint -q "$upper/store" || mount -t overlay prismfs-ollama \
        -o "lowerdir=$store,upperdir=$upper/upper,workdir=$upper/work,metacopy=on" "$upper/store"
    store=$upper/store
fi

OLLAMA_MODELS=$store exec ollama serve
