# Every target sets up what it needs; a set-up that is in place costs a tenth of a second.
# Written for /bin/sh and GNU make 3.81 (macOS): no bashisms, no .ONESHELL.

# The environment's own Python first: it is there after the first set-up, and starts faster than a version manager's.
# `make PYTHON=python3.13 setup` makes the environment with another one.
PYTHON ?= $(shell for p in .venv/bin/python python3 python3.13 python3.12 python3.11; do command -v $$p >/dev/null 2>&1 && echo $$p && break; done)
SETUP = @$(or $(PYTHON),$(error No Python found: Evolve needs Python 3.11 or newer)) src/evolve/installation.py --venv .venv
BIN = .venv/bin
# Where PYTHONDONTWRITEBYTECODE is set nothing else compiles our own code, and each command would do it anew (0.5 s of CPU).
COMPILE = @$(BIN)/python -m compileall -q src

QUESTION ?= Give me the best model for AAPL over 90 days

# In CI a skipped test is a failure: the tool that it needs belongs into .ci/run.
NO_SKIPS = $(if $(filter true 1,$(CI)),-p no_skips)
# One thread per process: two workers on two cores, and the same figures everywhere.
PYTEST = OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest $(NO_SKIPS)
# ARGS goes to pytest: make test ARGS="-k costs"
ARGS ?=

.PHONY: help setup web torch demo test prove lint check bench lock sbom clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' Makefile

setup: ## the environment .venv with everything, developers' tools included
	$(SETUP) --dev

web: ## build the scripts and styles of the web pages anew, where they are missing or old; needs npm
	$(SETUP)
	@$(BIN)/python -m evolve.web.bundle

torch: ## try again to get torch, where the set-up could not
	$(SETUP) --dev --torch auto

demo: ## set up, then answer one question about a real stock with real services
	$(SETUP)
	$(COMPILE)
	@EVOLVE_HOME="$(CURDIR)/.evolve/demo"; export EVOLVE_HOME; \
	unset REDIS_URL REDIS_HOST REDIS_PORT REDIS_DB; \
	if [ -d "$$EVOLVE_HOME" ]; then $(BIN)/evolve down >/dev/null 2>&1; rm -rf "$$EVOLVE_HOME"; fi; \
	mkdir -p "$$EVOLVE_HOME"; \
	trap '$(BIN)/evolve down' EXIT; trap 'exit 130' INT TERM; \
	echo '$$ evolve ask "$(QUESTION)"'; \
	$(BIN)/evolve ask "$(QUESTION)"; code=$$?; \
	echo; echo "The demo's answers stay in .evolve/demo until the next one:"; \
	echo "  export EVOLVE_HOME=$$EVOLVE_HOME; . $(BIN)/activate; evolve history; evolve reproduce ID"; \
	exit $$code

test: ## all tests but the long proofs
	$(SETUP) --dev
	$(COMPILE)
	$(PYTEST) -n 2 --dist loadgroup -m "not prove" $(ARGS)

prove: ## the long proofs: faults, soaks, simulations, other libraries' figures
	$(SETUP) --dev
	@$(BIN)/uv pip install -q --python $(BIN)/python -c requirements.lock --group oracles --group validators --group engines || \
	  echo "prove: oracles, validators or engines could not be installed; tests that need them say so"
	$(COMPILE)
	$(PYTEST) -rs -m prove --timeout 3600 $(ARGS)

lint: ## format, style, types, and who may import whom
	$(SETUP) --dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict --config-file= --cache-dir=.mypy_cache/user examples/typed_client.py
	$(BIN)/lint-imports --no-logo

check: lint test ## what a change must pass

bench: ## measure, one table per script in bench/
	$(SETUP) --dev
	@for script in bench/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

lock: ## resolve pyproject.toml into requirements.lock; newest versions: make lock ARGS=--upgrade
	$(SETUP) --dev
	$(BIN)/uv pip compile --universal --python-version 3.11 --no-header --no-annotate --no-emit-index-url \
	  --group dev pyproject.toml -o requirements.lock $(ARGS)

sbom: ## what Evolve is made of (CycloneDX) and under which licences, into dist/
	$(SETUP) --dev
	$(BIN)/python scripts/sbom.py dist

clean: ## remove the environment, caches and the demo; not your logs, plots and data
	@if [ -d .evolve/demo ]; then EVOLVE_HOME="$(CURDIR)/.evolve/demo" $(BIN)/evolve down >/dev/null 2>&1; fi; true
	rm -rf .venv .evolve/demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
