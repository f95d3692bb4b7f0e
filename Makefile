# Every target sets up what it needs: python3 (3.10 or newer, with venv) and make are enough.
# A second run skips what is already there: the stamp files in the environment are its memory.
#
#   make demo                    the tour, with no AWS account
#   make demo INPUT=access.log   the same with lines of your own (.gz too)
#   make demo-durable            a process is killed half-way, and the rest arrives from its spool
#   make test                    lint, types and tests
#   make test PYTEST="-k fifo"   some of the tests
#   make test-heavy              the tests that take seconds of real time each
#   make kills                   500 writers, adopters and relays of each kind, killed (KILLS=100 for fewer)
#   make test-engines            the tests with a real Spark and a real Ray (Java 17 or newer is needed)
#   make lint                    only lint and types
#   make bench                   the figures beside every peer's; make bench-quick: in two minutes
#   make bench-engines           Spark and Ray beside a plain process
#   make soak                    a million messages in ten minutes, under changing faults
#   make soak SOAK="--seconds 30 --messages 50000"   the short one
#   make clean                   remove everything that the other targets made
#   make PYTHON=python3.12 VENV=.venv-3.12 test   with another Python
#   make PYTHON=python3.12 VENV=.venv-3.12 test PYTEST='-m "every_python and not heavy"'   what CI runs there
#
# CI runs every test on one Python, and those marked every_python on the others: CONTRIBUTING.md tells how to mark
# one, .ci/run has the budget.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# pip says what it does: the first time takes a minute or two.
PIP = $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo demo-durable test test-heavy kills test-engines lint bench bench-quick bench-engines soak clean node

help:
	@sed -n 's/^#   //p' Makefile

# ---------------------------------------------------------------- environments

%/.made:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("$(PYTHON) is Python %d.%d; 3.10 or newer is needed: make PYTHON=python3.12 ..." % sys.version_info[:2])'
	@$(PYTHON) -m venv --clear $* || { echo "$(PYTHON) has no venv (on Debian: apt-get install python3-venv)"; exit 1; }
	@touch $@
.PRECIOUS: %/.made

$(VENV)/.demo: $(VENV)/.made pyproject.toml
	@echo "installing the demo into $(VENV) (once; about 60 packages, a minute or two)"
	@$(PIP) install -e '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml
	@echo "installing the development tools into $(VENV)"
	@$(PIP) install -e '.[dev]'
	@touch $@ $(VENV)/.demo

# The peers of the benchmarks hold botocore to old versions: they get an environment of their own.
.venv-bench/.bench: .venv-bench/.made pyproject.toml
	@echo "installing the benchmarks' peers into .venv-bench"
	@.venv-bench/bin/python -m pip --disable-pip-version-check install -e '.[bench]'
	@touch $@

# Spark and Ray are large, and PySpark comes as source, of which pip builds the wheel once.
.venv-engines/.engines: .venv-engines/.made pyproject.toml
	@echo "installing Spark and Ray into .venv-engines (once; half a gigabyte to download)"
	@.venv-engines/bin/python -m pip --disable-pip-version-check install -e '.[engines]'
	@touch $@

# kinesalite counts Kinesis records under threads. Without npm its tests skip, and say so.
node: $(if $(shell sh -c 'command -v npm'),tests/node_modules/.made)

tests/node_modules/.made: tests/package.json tests/package-lock.json
	@echo "installing kinesalite into tests/node_modules"
	@cd tests && npm ci --silent --no-audit --no-fund
	@touch $@

# ---------------------------------------------------------------- what people run

demo: $(VENV)/.demo
	@$(BIN)/python -m publisher demo $(if $(INPUT),--input "$(INPUT)")

demo-durable: $(VENV)/.demo
	@$(BIN)/python -m publisher demo --durable

PYTEST ?=
test: lint node
	@$(BIN)/python -m pytest -n 2 -m "not heavy" $(PYTEST)

test-heavy: $(VENV)/.dev node
	@$(BIN)/python -m pytest -n 2 -m heavy $(PYTEST)

KILLS ?= 500
kills: $(VENV)/.dev
	@KILLS=$(KILLS) $(BIN)/python -m pytest -s -m heavy -k kill -o faulthandler_timeout=7200 \
		tests/store/test_kills.py tests/spool/test_kills.py tests/spool/test_relay.py $(PYTEST)

test-engines: .venv-engines/.engines
	@.venv-engines/bin/python -m pytest tests/engines $(PYTEST)

lint: $(VENV)/.dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: .venv-bench/.bench
	@.venv-bench/bin/python -m benchmarks

bench-engines: .venv-engines/.engines
	@.venv-engines/bin/python -m benchmarks.engines

bench-quick: .venv-bench/.bench
	@.venv-bench/bin/python -m benchmarks --quick

SOAK ?=
soak: $(VENV)/.dev
	@$(BIN)/python -m tests.soak $(SOAK)

clean:
	rm -rf .venv .venv-* build dist tests/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
