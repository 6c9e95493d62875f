# One line each; every target sets up what it needs, and a second set-up takes a moment. `make` lists them.

PYTHON ?= python3
TORCH ?= 2.14.1
# auto takes the torchvision that belongs to torch, where an index has it; none leaves it out
TORCHVISION ?= auto
STACK ?= openmmlab
# empty: wheels alone, no compiler; mmcv: its own operators too, built from source
OPS ?=
# one environment for each kind: two families of hosts, or two editions of mmcv, cannot share one
VENV ?= .venv$(if $(filter onedl,$(STACK)),-onedl)$(if $(OPS),-$(OPS))
JOBS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 4 ? n : 4)))
STUDY ?=
ARGS ?=

PY := $(VENV)/bin/python
.DEFAULT_GOAL := help
.PHONY: help setup demo doctor data check test test-ops test-stacks test-slow test-bare bench gpu-check evidence evidence-autohas evidence-occlusion evidence-search evidence-self-training clean

help:  ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' $(firstword $(MAKEFILE_LIST)) | awk -F'|' '{printf "%-26s %s\n", $$1, $$2}'
	@echo "Variables: PYTHON=$(PYTHON) TORCH=$(TORCH) TORCHVISION=$(TORCHVISION) STACK=$(STACK) (or onedl)"
	@echo "  OPS=$(OPS) (or mmcv) VENV=$(VENV) JOBS=$(JOBS) ARGS=$(ARGS)"

setup:  ## make .venv with torch, the hosts and mmext from wheels alone (OPS=mmcv builds mmcv's own operators)
	@$(PYTHON) -m dev.environment.setup --torch "$(TORCH)" --torchvision "$(TORCHVISION)" --stack "$(STACK)" \
		--ops "$(OPS)" --venv "$(VENV)"

doctor: setup  ## name what is wrong with the environment, and what cures it
	$(PY) tools/doctor.py

demo: setup  ## train, test and draw a detector of tree crowns on real photographs
	$(PY) -m dev.demo.run $(ARGS)

data: setup  ## fetch the demo's photographs and ImageNet weights
	$(PY) tools/data/trees.py
	$(PY) tools/data/mobilenet_v2.py

check: setup  ## format, lint, types, imports between modules, spelling, remains of merges
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/codespell
	@! git grep -nE '^(<{7} |={7}$$|>{7} )' || { echo "a merge left these marks behind: mend them" >&2; exit 1; }

# One torch thread a process: several threads each on the same cores make everything many times slower.
test: setup  ## every test that is not slow (ARGS="-k name" picks some)
	OMP_NUM_THREADS=1 $(PY) -m pytest -m "not slow" -n $(JOBS) $(ARGS)

# The pair is of PyPI: built for CUDA, it runs without a GPU; mmcv's extension is built for CPUs, once.
test-ops: export TORCH := 2.13.0
test-ops: export TORCHVISION := 0.28.0
test-ops: export MMEXT_CUDA ?= 0
test-ops:  ## our operators against mmcv's own extension, in an environment that has it
	$(MAKE) setup OPS=mmcv
	OMP_NUM_THREADS=1 .venv-mmcv/bin/python -m pytest -m "not slow" -n $(JOBS) tests/ops tests/detection/detecto_rs/test_sac_cost.py $(ARGS)

test-stacks:  ## every test that is not slow, on the official packages and on the forks
	$(MAKE) test STACK=openmmlab
	$(MAKE) test STACK=onedl

test-slow: setup  ## the tests that take minutes each
	OMP_NUM_THREADS=1 $(PY) -m pytest -m slow $(ARGS)

test-bare:  ## make demo and a few tests on a bare Debian, as an ordinary user (as root; fetches 3 to 4 GB)
	bash dev/environment/bare.sh $(ARGS)

bench: setup  ## our parts against the hosts': time, bytes, operators
	OMP_NUM_THREADS=1 $(PY) -m dev.benchmarks.run $(ARGS)

gpu-check: setup  ## what only a GPU can tell, in ten minutes at most; writes docs/evidence/gpu.json
	$(PY) -m dev.gpu_check $(ARGS)

evidence: setup  ## one study as it is stated: STUDY=gfl (without one, their names); ARGS=--develop chooses a design
	$(PY) -m dev.evidence.run $(STUDY) $(ARGS)

evidence-autohas: setup  ## AutoHAS against random search at equal gradient steps, on digits and Fashion-MNIST; an hour
	OMP_NUM_THREADS=1 $(PY) -m dev.evidence.search.autohas $(ARGS)

evidence-occlusion: setup  ## trackers when real cut-outs hide each other, 1,600 scenes; about ten minutes
	OMP_NUM_THREADS=1 $(PY) -m dev.evidence.occlusion $(ARGS)

evidence-search: setup  ## replay every search on a table of 384 trained nets (docs/evidence/search_table.json)
	OMP_NUM_THREADS=1 $(PY) -m dev.evidence.search.table
	OMP_NUM_THREADS=1 $(PY) -m dev.evidence.search.replay

evidence-self-training: setup  ## self-training on digits, 40 pairs in each of twelve cells; minutes
	$(PY) tools/data/digits.py
	$(PY) tools/data/fashion_mnist.py
	OMP_NUM_THREADS=1 $(PY) -m dev.evidence.self_training.digits $(ARGS)

clean:  ## remove what tests, checks and builds leave behind; .venv, data and work_dirs stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
