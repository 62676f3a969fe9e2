#!/usr/bin/env bash
# The tests of what is in C with libraries that are compiled with AddressSanitizer and UndefinedBehaviorSanitizer: a
# copy of the tree is built so, and Python loads the sanitizers before everything else. Argument: the Python.
set -euo pipefail

python=$(realpath --no-symlinks "$1")
tree=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$tree"/{pyproject.toml,setup.py,README.md,LICENSE,translators,fsd,tests,examples} "$work"
find "$work" -name '*.so' -delete
cd "$work"
python3 -m venv --without-pip build-environment
"$python" -m pip --python build-environment/bin/python install --quiet 'setuptools>=77,<90'
PRISMFS_KERNEL_FLAGS="-O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer" \
    build-environment/bin/python setup.py --quiet build_ext --inplace
# Python itself leaves memory at exit, and its start is not ours to check.
export LD_PRELOAD="$(gcc -print-file-name=libasan.so):$(gcc -print-file-name=libubsan.so)"
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:detect_stack_use_after_return=1
export UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
PYTHONPATH="$work" "$python" -m pytest -q -p no:cacheprovider \
    tests/translators/test_quants_kernels.py tests/translators/test_vocab_lists.py
echo "clean under AddressSanitizer and UndefinedBehaviorSanitizer"
