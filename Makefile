# One line each; every target sets up what it needs, and a second set-up takes a moment. `make` lists them.

PYTHON ?= python3
TORCH ?= 2.13.0
STACK ?= openmmlab
VENV ?= .venv
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n : 4)))
ARGS ?=

PY := $(VENV)/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup demo data test test-slow check bench evidence-trees evidence-detection \
	evidence-detectors evidence-segmentation evidence-action evidence-sample-weighting clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-26s %s\n", $$1, $$2}'
	@echo "Variables: PYTHON=$(PYTHON) TORCH=$(TORCH) STACK=$(STACK) (or onedl) VENV=$(VENV) JOBS=$(JOBS) ARGS=$(ARGS)"

setup:  ## make .venv with torch, mmcv's ops (built once, about 7 minutes), the hosts and mmext
	@$(PYTHON) tools/setup.py --torch "$(TORCH)" --stack "$(STACK)" --venv "$(VENV)"

demo: setup  ## train, test and draw a detector of tree crowns on real photographs
	$(PY) tools/trees_demo.py $(ARGS)

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
	OMP_NUM_THREADS=1 $(PY) tools/benchmark.py $(ARGS)

evidence-trees: setup  ## three seeds an arm on the tree crowns: the numbers of the README (long)
	$(PY) tools/evidence.py trees $(ARGS)

evidence-detection: setup  ## seven detectors on photographic cut-outs, three seeds each (about two hours)
	$(PY) tools/data/stamps.py
	$(PY) tools/data/mobilenet_v2.py
	$(PY) tools/evidence.py detection $(ARGS)

evidence-detectors: setup  ## DetectoRS, its halves and neither, three seeds each (about 70 minutes)
	$(PY) tools/data/stamps.py
	$(PY) tools/data/mobilenet_v2.py
	$(PY) tools/evidence.py detectors $(ARGS)

evidence-segmentation: setup  ## five segmentation heads on photographic cut-outs, three seeds each (about an hour)
	$(PY) tools/data/stamps.py
	$(PY) tools/data/mobilenet_v2.py
	$(PY) tools/evidence.py segmentation $(ARGS)

evidence-action: setup  ## five ways to see camera motion, three seeds each (about half an hour)
	$(PY) tools/data/camera_motion.py
	$(PY) tools/evidence.py action $(ARGS)

evidence-sample-weighting: setup  ## four ways to weight the samples of a detector, three seeds each (about 40 minutes)
	$(PY) tools/data/stamps.py
	$(PY) tools/data/mobilenet_v2.py
	$(PY) tools/evidence.py sample_weighting $(ARGS)

clean:  ## remove what tests, checks and builds leave behind; .venv, data and work_dirs stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
