# Every target sets up what it needs: python3 (3.10 or newer, with venv) and make are enough.
# A second run skips what is already there: the stamp files in the environment are its memory.
#
#   make demo [INPUT=FILE]   the tour, with no AWS account
#   make test                lint, types and tests
#   make PYTHON=python3.12 VENV=.venv-3.12 test

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Extra arguments: make test PYTEST="-k fifo -x"
PYTEST ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint format types check bench bench-quick soak clean

help:
	@sed -n 's/^#   //p' Makefile; \
	echo "other targets: lint, bench, bench-quick, soak, clean"

# ---------------------------------------------------------------- environments

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("$(PYTHON) is Python %d.%d; 3.10 or newer is needed: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	@$(PYTHON) -m venv --clear $(VENV) || { echo "$(PYTHON) has no venv (on Debian: apt-get install python3-venv)"; exit 1; }
	@touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml
	@echo "installing the demo into $(VENV)"
	@$(PIP) install -e '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml
	@echo "installing the development tools into $(VENV)"
	@$(PIP) install -e '.[dev]'
	@touch $@ $(VENV)/.demo

# kinesalite counts Kinesis records under threads. Without npm its tests skip, and say so.
node: $(if $(shell command -v npm),tests/node_modules/.made)
.PHONY: node

tests/node_modules/.made: tests/package.json tests/package-lock.json
	@echo "installing kinesalite into tests/node_modules"
	@cd tests && npm ci --silent --no-audit --no-fund
	@touch $@

# ---------------------------------------------------------------- what people run

demo: $(VENV)/.demo
	@$(BIN)/python -m demo $(if $(INPUT),--input $(INPUT))

test: lint node
	@$(BIN)/python -m pytest $(PYTEST)

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks

bench-quick: $(VENV)/.dev
	@$(BIN)/python -m benchmarks --quick

clean:
	rm -rf .venv .venv-* build dist tests/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
