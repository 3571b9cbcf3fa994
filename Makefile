.DEFAULT_GOAL := help
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
MONTHS ?= 12
KILLS ?= 30
WORKERS ?= 2
# Files of tests are run two at a time, as tests/together.py says; with TOGETHER=0 one after the other.
# Faults come one after the other: what has to outlast a fault needs the machine to itself.
TOGETHER ?= 2
PYTEST := $(BIN)/pytest -n $(TOGETHER) --dist loadfile --no-loadscope-reorder
FAST := "not slow and not faults and not cluster"
SLOW := "slow and not faults and not cluster"
# Tests start hundreds of interpreters, and each would compile our modules anew.
unexport PYTHONDONTWRITEBYTECODE

help: ## show what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: .venv/.installed ## create .venv from the lock
.venv/.installed: requirements.lock requirements/uv.lock setup.cfg
	@$(PYTHON) -m venv --clear .venv && $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable . && touch $@

run: install ## take real data through every stage; writes out/report.html
	@$(BIN)/python -m examples.flights --months $(MONTHS)

serve: install ## serve the champion that `make run` left, until Ctrl-C
	@$(BIN)/falaj serve delays

test: install ## run the tests of everything
	@$(BIN)/python -m tests.prerequisites && $(PYTEST) -m $(FAST)
	@echo "left to others: make test-slow, make test-faults, make test-cluster"

test-slow: install ## run the few tests that take longer
	@$(BIN)/python -m tests.prerequisites && $(PYTEST) -m $(SLOW)

test-faults: install ## kill the whole job at KILLS=30 points; break the object store
	@$(BIN)/python -m tests.prerequisites && KILLS=$(KILLS) $(BIN)/pytest -m faults tests/faults

control-plane: install ## build a Kubernetes API server and what it needs, once, with Go
	@$(BIN)/python -m tests.cluster.ground.build

test-cluster: control-plane ## run what needs a real Kubernetes API server
	@$(PYTEST) -m cluster tests/cluster

bench-run: install ## time the main job against the same work by hand
	@$(BIN)/python -m tests.benchmarks.bench_run --months $(MONTHS)

bench-serving: install ## measure the server beside others
	@$(BIN)/python -m tests.prerequisites && $(BIN)/python -m tests.benchmarks.bench_serving

bench-sealing: install ## measure sealing and opening beside others
	@$(BIN)/python -m tests.benchmarks.bench_sealing

bench-admission: control-plane ## measure what the policies on residency add to a request
	@$(BIN)/python -m tests.benchmarks.bench_admission

lint: install ## check style
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

type: install ## check types
	@$(BIN)/mypy --num-workers $(WORKERS)

format: install ## format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

compile: install ## compile pipelines and components into build/
	@$(BIN)/falaj compile --out build

golden: install ## rewrite the goldens from what the code gives now
	@$(BIN)/falaj residency render --write manifests && $(BIN)/pytest -m "not slow" --update-goldens tests/pipelines tests/manifests

lock: ## resolve all locks anew
	@$(BIN)/uv pip compile setup.cfg --extra dev --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock" --quiet --output-file requirements.lock && $(BIN)/python -m images.locks

clean: ## remove what was built and run, and the environment
	@rm -rf build out .venv .cache .pytest_cache .mypy_cache .ruff_cache *.egg-info

.PHONY: help install run serve test test-slow test-faults control-plane test-cluster bench-admission bench-run bench-serving bench-sealing lint type format compile golden lock clean
