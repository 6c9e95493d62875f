# One line each; every target sets up what it needs, and a second set-up takes a moment. `make` lists them.

PYTHON ?= python3
TORCH ?= 2.13.0
STACK ?= openmmlab
VENV ?= .venv
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n : 4)))
STUDY ?= trees
ARGS ?=

PY := $(VENV)/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup demo data test test-slow check bench evidence clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-26s %s\n", $$1, $$2}'
	@echo "Variables: PYTHON=$(PYTHON) TORCH=$(TORCH) STACK=$(STACK) (or onedl) VENV=$(VENV) JOBS=$(JOBS) ARGS=$(ARGS)"

setup:  ## make .venv with torch, mmcv's ops (built once, about 7 minutes), the hosts and mmext
	@$(PYTHON) tools/setup.py --torch "$(TORCH)" --stack "$(STACK)" --venv "$(VENV)"

demo: setup  ## train, test and draw a detector of tree crowns on real photographs
	$(PY) -m dev.demo.run $(ARGS)

data: setup  ## fetch the demo's photographs and ImageNet weights
	$(PY) tools/data/trees.py
	$(PY) tools/data/mobilenet_v2.py

check: setup  ## format, lint, types, imports between modules, spelling
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/codespell

# One torch thread a process: several threads each on the same cores make everything many times slower.
test: setup  ## every test that is not slow (ARGS="-k name" picks some)
	OMP_NUM_THREADS=1 $(PY) -m pytest -m "not slow" -n $(JOBS) $(ARGS)

test-slow: setup  ## the tests that take minutes each
	OMP_NUM_THREADS=1 $(PY) -m pytest -m slow $(ARGS)

bench: setup  ## our parts against the hosts': time, bytes, operators
	OMP_NUM_THREADS=1 $(PY) -m dev.benchmarks.run $(ARGS)

evidence: setup  ## one study, three seeds an arm: STUDY=trees, detection, detectors, segmentation, action or sample_weighting
	$(PY) -m dev.evidence.run $(STUDY) $(ARGS)

clean:  ## remove what tests, checks and builds leave behind; .venv, data and work_dirs stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
