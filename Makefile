# What a developer or a newcomer runs. `make demo` and `make test` each do all their set-up themselves.
#
#   demo     install, mount a small real model, list it, ask llama.cpp a question through the mount, unmount
#   test     install, run the whole test suite
#   check    style, types and tests: what .ci/run calls
#   bench    measure on SmolLM2 against upstream's tools, as ratios in one run (builds these once, as oracle does)
#   bench-listing   measure `ls -lR` of 200 models, by both adapters, cold and warm
#   oracle   regenerate the golden digests from upstream's own tools, in an environment of their own

SHELL  := /bin/bash
PYTHON ?= python3
VENV   ?= .venv
RUN    := $(VENV)/bin/python

.PHONY: demo test check style types bench bench-listing oracle clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" ./examples/demo.sh

test: $(VENV)/.installed
	$(RUN) -m pytest

check: style types test

style: $(VENV)/.installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: $(VENV)/.installed
	$(RUN) -m mypy

bench: $(VENV)/.installed
	./tests/oracle/environment.sh
	$(RUN) -m benchmarks

bench-listing: $(VENV)/.installed
	$(RUN) -m tests.heavy.listing

oracle: $(VENV)/.installed
	./tests/oracle/environment.sh
	$(RUN) -m tests.oracle.regenerate

$(VENV)/.installed: pyproject.toml .ci/packages.sh
	./.ci/packages.sh
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
