# What a developer or a newcomer runs. `make demo` and `make test` each do all their set-up themselves.
#
#   demo     install, mount a small real model, list it, ask llama.cpp a question through the mount, unmount
#   test     install, run the whole test suite; JOBS=0 for one test after the other
#   check    style, types and tests: what .ci/run calls
#   docs     make the reference pages anew: docs/CLI.md, CONFIGURATION.md, METRICS.md, API.md, prismfs.1
#   bench    measure on SmolLM2 against upstream's tools, as ratios in one run (builds these once, as oracle does)
#   store-pressure  the store on a disk of 256 MiB against a working set of 2 GiB (as root)
#   soak     a million random reads by every call, compared with references; SOAK='--seed 7 --fuse kernel'
#   kills    five hundred SIGKILLs under eight readers, every byte compared after each; KILLS='--kills 50'
#   stress   fio and stress-ng (installed if missing) against a mount, 30 minutes; STRESS='--seconds 5'
#   bench-io      read through the mount, against plain files and rclone; ARGS="--repeat 3 translation --json FILE"
#   bench-memory  stream a 20 GB model inside a control group of 512 MiB; ARGS="--size 2G"
#   arrivals        latency of reads while a thousand models come, by both adapters; ARGS="--models 200"
#   screenshots     docs/images: the page of a mount, in light, in dark and on a phone
#   bench-planning  plan Llama 3 70B and DeepSeek V3 671B in their real shapes: time, memory, `ls -l`; has bounds
#   bench-listing   measure `ls -lR` of 200 models, by both adapters, cold and warm
#   imatrix-check   compare every file made with an importance matrix, the slow types too, with upstream's digests
#   api-fuzz    schemathesis against a live daemon, every check; API_FUZZ='--examples 500 --seed 7'
#   examples-check  the examples of other programs, each run on a mount of SmolLM2; ARGS="mlx_lm.sh"
#   fuzz     coverage-guided fuzzing of every parser in turn, ten minutes each, in an environment of its own;
#            ARGS="--seconds 60 --parser gguf --keep"
#   kernels  compile the quantisers in place, again where a source changed (install does it once)
#   kernels-check  every build of every kernel against libggml, ten million weights each; ARGS="--types Q4_K"
#   kernels-asan   the kernels' tests with AddressSanitizer and UndefinedBehaviorSanitizer
#   kernels-aarch64  the portable kernels for aarch64, under qemu (both installed if missing), against libggml
#   wheel-check   sdist and wheel in fresh environments, with a compiler and without: the same bytes from each
#   bench-kernels  their speed as ratios to libggml's; ARGS="--types Q4_K --json FILE"
#   bench-quantise a model of 1.2 B weights as q4_k_m, against llama-quantize; ARGS="--repeat 3 --json FILE"
#   tokenizers  real vocabularies against upstream's digests, and llama.cpp's ids against the tokenizer's, as a
#            table; ARGS="--regenerate" asks upstream itself (and builds what that needs), ARGS="--show 5 'Llama 4'"
#   mlx-check  folders for mlx-lm against mlx-lm itself: tensors, logits; ARGS="DIRECTORY" for a model of your own
#   frameworks-check  weights of a mount as PyTorch, NumPy, h5py, flax and transformers read them
#   hdf5-check  files of h5py and Keras, and real ones, against h5py's reading; ours read by h5py; ARGS="FILE"
#   flax-check  folders of transformers' Flax and TensorFlow classes, against what its PyTorch classes make of
#            them: every tensor, and the GGUFs; in an environment of its own; ARGS="--made DIRECTORY" keeps them
#   meta-check  Meta's originals against transformers' own conversion of them, and llama.cpp's GGUF of that
#   onnx-check  folders for ONNX Runtime, run by it, by genai and by OpenVINO, against transformers; and real ONNX
#            files as onnx itself reads them; ARGS="DIRECTORY" for a model of your own
#   tensorflow-check  checkpoints, SavedModels, graphs, TensorFlow Lite: as TensorFlow itself reads them
#   legacy-check  llama.cpp's files of before GGUF, as upstream's script converts them
#   families  the table of families: every variant compared with upstream's digests; ARGS="Qwen3 gemma"
#   families-strangers  random relatives of the variants against upstream itself; ARGS="--seed 7 --count 300"
#   families-run  llama.cpp evaluates every tiny model from a mount and from upstream's file: the same logits;
#            ARGS="--types q8_0 q4_k_m --write gemma"
#   minilm-check  llama.cpp's embeddings with the real MiniLM from a mount against sentence-transformers'
#   families-ranges  ranges of every variant's files against the whole, and what reads cost of the source
#   pytorch-check  torch.load, transformers and convert_hf_to_gguf of pytorch/ folders, against their sources
#   oracle   regenerate the golden digests from upstream's own tools, in an environment of their own

SHELL  := /bin/bash
PYTHON ?= python3
VENV   ?= .venv
RUN    := $(VENV)/bin/python
# Tests wait more than they compute.
JOBS   ?= 3

.PHONY: api-fuzz examples-check fuzz demo test check style types docs bench bench-io bench-memory bench-listing bench-planning arrivals screenshots \
	kernels kernels-check kernels-asan kernels-aarch64 wheel-check bench-kernels bench-quantise \
	oracle families families-strangers families-run families-back families-ranges minilm-check tokenizers imatrix-check store-pressure soak kills \
	stress pytorch-check mlx-check onnx-check hdf5-check frameworks-check flax-check tensorflow-check legacy-check meta-check lora-check clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" ./examples/demo.sh

test: $(VENV)/.installed
	$(RUN) -m pytest -n $(JOBS) --dist loadfile

check: style types test

style: $(VENV)/.installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(VENV)/.installed
	$(RUN) -m mypy

docs: $(VENV)/.installed
	$(RUN) -m docs.generate

bench: $(VENV)/.installed
	./tests/oracle/environment.sh
	$(RUN) -m benchmarks

bench-io: $(VENV)/.installed
	./benchmarks/tools.sh
	$(RUN) -m benchmarks.io $(ARGS)

bench-memory: $(VENV)/.installed
	$(RUN) -m benchmarks.memory $(ARGS)

bench-planning: $(VENV)/.installed
	$(RUN) -m benchmarks.planning $(ARGS)

bench-listing: $(VENV)/.installed
	$(RUN) -m tests.heavy.listing

arrivals: $(VENV)/.installed
	$(RUN) -m tests.heavy.arrivals $(ARGS)

screenshots: $(VENV)/.installed
	$(RUN) -m tests.heavy.screenshots $(ARGS)

examples-check: $(VENV)/.installed
	./tests/oracle/environment.sh
	./tests/oracle/mlx/environment.sh
	./tests/oracle/onnx/environment.sh
	$(RUN) -m tests.heavy.examples $(ARGS)

fuzz: $(VENV)/.installed
	./tests/fuzz/environment.sh $(RUN)
	nice $(RUN) -m tests.fuzz $(ARGS)

oracle: $(VENV)/.installed
	./tests/oracle/environment.sh
	$(RUN) -m tests.oracle.regenerate
	$(RUN) -m tests.oracle.weighted
	$(RUN) -m tests.oracle.families.regenerate
	$(RUN) -m tests.oracle.splits

pytorch-check: $(VENV)/.installed
	./tests/oracle/environment.sh
	$(RUN) -m tests.oracle.torch_folders

mlx-check: $(VENV)/.installed
	$(RUN) -m tests.oracle.mlx.check $(ARGS)

frameworks-check: $(VENV)/.installed
	$(RUN) -m tests.heavy.frameworks

hdf5-check: $(VENV)/.installed
	$(RUN) -m tests.oracle.hdf5.check $(ARGS)

flax-check: $(VENV)/.installed
	$(RUN) -m tests.oracle.renamed.check $(ARGS)

meta-check: $(VENV)/.installed
	$(RUN) -m tests.oracle.meta.check $(ARGS)

lora-check: $(VENV)/.installed
	$(RUN) -m tests.oracle.lora.check $(ARGS)

onnx-check: $(VENV)/.installed
	$(RUN) -m tests.oracle.onnx.check $(ARGS)
	$(if $(ARGS),,$(RUN) -m tests.oracle.onnx.reading)

tensorflow-check: $(VENV)/.installed
	$(RUN) -m tests.oracle.tensorflow.check $(ARGS)

legacy-check: $(VENV)/.installed
	./tests/oracle/environment.sh
	$(RUN) -m tests.oracle.legacy $(ARGS)

families: $(VENV)/.installed
	$(RUN) -m tests.oracle.families.comparison $(ARGS)

families-strangers: $(VENV)/.installed
	./tests/oracle/environment.sh
	$(RUN) -m tests.oracle.families.strangers $(ARGS)

families-run: $(VENV)/.installed
	./tests/oracle/environment.sh
	$(RUN) -m tests.heavy.llama $(ARGS)

minilm-check: $(VENV)/.installed
	./tests/heavy/llama/environment.sh
	$(RUN) -m tests.heavy.llama.minilm

families-ranges: $(VENV)/.installed
	$(RUN) -m tests.oracle.families.ranges $(ARGS)

families-back: $(VENV)/.installed
	$(RUN) -m tests.oracle.families.returning $(ARGS)

tokenizers: $(VENV)/.installed
	$(if $(findstring --regenerate,$(ARGS)),./tests/heavy/tokenizers/environment.sh)
	$(RUN) -m tests.heavy.tokenizers $(ARGS)

imatrix-check: $(VENV)/.installed
	$(RUN) -m tests.heavy.weighted

store-pressure: $(VENV)/.installed
	$(RUN) -m tests.heavy.store_pressure

KERNELS := $(wildcard translators/quants/kernels/*.[ch] translators/vocab/*.c)

kernels: $(VENV)/.installed

kernels-check: $(VENV)/.installed
	$(RUN) -m tests.heavy.kernels $(ARGS)

kernels-asan: $(VENV)/.installed
	./tests/heavy/kernels_asan.sh $(RUN)

kernels-aarch64: $(VENV)/.installed
	{ command -v aarch64-linux-gnu-gcc && command -v qemu-aarch64; } >/dev/null || \
		.ci/install.sh gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
	$(RUN) -m tests.heavy.kernels_aarch64 $(ARGS)

wheel-check: $(VENV)/.installed
	$(RUN) -m tests.heavy.wheels

bench-kernels: $(VENV)/.installed
	$(RUN) -m benchmarks.kernels $(ARGS)

bench-quantise: $(VENV)/.installed
	./tests/oracle/environment.sh
	$(RUN) -m benchmarks.quantising $(ARGS)

$(VENV)/.installed: pyproject.toml setup.py .ci/packages.sh $(KERNELS)
	./.ci/packages.sh
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable '.[dev]'
	touch $@

soak: $(VENV)/.installed
	$(RUN) -m tests.heavy.fsx --operations 1000000 $(SOAK)

kills: $(VENV)/.installed
	$(RUN) -m tests.heavy.kills --kills 500 $(KILLS)

api-fuzz: $(VENV)/.installed
	$(RUN) -m tests.heavy.api $(API_FUZZ)

stress: $(VENV)/.installed
	{ command -v fio && command -v stress-ng; } >/dev/null || .ci/install.sh fio stress-ng
	$(RUN) -m tests.heavy.stress --seconds 60 $(STRESS)

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
