# The two commands a newcomer needs are `make demo` and `make test`; each sets up all it uses.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
ONCE   ?=

.PHONY: help setup demo test check coverage generate bench lock clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

setup: $(READY)  ## virtual environment with locked dependencies and a real Envoy

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "northgate needs Python 3.11 or newer; set PYTHON=")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(READY)  ## serve examples/ through a real Envoy on free loopback ports (ONCE=1: prove one edit, then exit)
	$(BIN)/northgate demo $(if $(ONCE),--once)

test: $(READY)  ## every test, with a real Envoy and a real API server (built once into the user's cache)
	-$(BIN)/python -m tests.kube.rig.programs
	$(BIN)/python -m pytest -n auto

check: $(READY)  ## format, lint, types, import contracts, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/generate.py --check

generate: $(READY)  ## write CRDs, reference pages and the README's feature table anew
	$(BIN)/python tools/generate.py

CORE := engine api features world resolve translate snapshot deliver
PURE := tests/test_engine.py tests/core tests/api tests/deliver tests/features tests/resolve tests/translate tests/golden tests/bad_input/test_corpus.py

coverage: $(READY)  ## the pure core is covered by tests that start nothing; fails below 95 %
	$(BIN)/python -m pytest -q -n auto -m "not envoy" $(PURE) $(CORE:%=--cov=northgate.%) --cov-branch \
		--cov-report=term:skip-covered --cov-fail-under=95

bench: $(READY)  ## measure; writes bench/results/
	$(BIN)/python -m bench

lock: $(READY)  ## resolve requirements.lock again from pyproject.toml
	$(BIN)/uv pip compile --universal --generate-hashes --python-version 3.11 --all-extras --group dev pyproject.toml --no-header --no-annotate -o requirements.lock

clean:  ## remove what setup and tests made
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
