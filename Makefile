# Each verb sets up what it needs: a virtual environment in .venv, filled from the hash-pinned lock, and again
# only when the lock or pyproject.toml has changed. `make test ARGS="tests/core -n 0"` passes arguments on.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
CLICKHOUSE := $(VENV)/.clickhouse
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
# src and tests, the modules of bench, and whatever else is Python without a suffix.
CODE := src tests $(wildcard bench/*.py) $(shell grep -lE '^\#!.*python' bench/* tools/* 2>/dev/null | grep -v '\.py$$')

.DEFAULT_GOAL := help
.PHONY: help demo serve test clickhouse check fix bench reference lock clean
.DELETE_ON_ERROR:
.NOTPARALLEL:

help: ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-10s%s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: preflight-demo $(RUNTIME) ## the main job over real HTTP: click, token, outcome, verdict, report
	@$(BIN)/nimriz demo $(ARGS)

serve: preflight-serve $(RUNTIME) ## run the service on 127.0.0.1:8000
	@$(BIN)/nimriz serve $(ARGS)

test: preflight-test $(DEV) check ## check, then run every test
	@$(BIN)/pytest $(ARGS)

clickhouse: preflight-clickhouse $(CLICKHOUSE) ## bring ClickHouse (270 MB), so that the tests ask it too

check: preflight-check $(DEV) ## lint, formatting and types
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/mypy $(CODE)

fix: preflight-fix $(DEV) ## format, and repair what can be repaired by itself
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

bench: preflight-bench $(RUNTIME) ## redirects, conversions and links a second, beside nginx and bare servers
	@PATH="$(CURDIR)/$(BIN):$$PATH:/usr/sbin" bench/redirect
	@PATH="$(CURDIR)/$(BIN):$$PATH:/usr/sbin" bench/routing
	@PATH="$(CURDIR)/$(BIN):$$PATH:/usr/sbin" bench/conversions
	@PATH="$(CURDIR)/$(BIN):$$PATH:/usr/sbin" bench/neighbours
	@PATH="$(CURDIR)/$(BIN):$$PATH:/usr/sbin" bench/beside
	@PATH="$(CURDIR)/$(BIN):$$PATH:/usr/sbin" bench/management
	@PATH="$(CURDIR)/$(BIN):$$PATH:/usr/sbin" bench/ledger
	@PATH="$(CURDIR)/$(BIN):$$PATH:/usr/sbin" bench/million --outcomes 50000

reference: preflight-reference $(RUNTIME) ## write docs/reference/api.md from the code
	@$(BIN)/python tools/reference

# One resolution for every Python and system; LOCK_ARGS=--upgrade takes the newest, else pins stay where they can.
LOCKED = --universal --python-version 3.11 --generate-hashes --no-header --quiet $(LOCK_ARGS)
COMPILE = $(BIN)/uv pip compile pyproject.toml --group build $(LOCKED)
COMPILE_GROUP = $(BIN)/uv pip compile $(LOCKED) --group

lock: preflight-lock $(DEV) ## resolve pyproject.toml anew into requirements/
	@$(COMPILE) --output-file requirements/runtime.txt
	@$(COMPILE) --group dev --constraints requirements/runtime.txt --output-file requirements/dev.txt
	@$(COMPILE_GROUP) clickhouse --constraints requirements/dev.txt --output-file requirements/clickhouse.txt

clean: ## remove all that the other verbs have made
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find bench src tests -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

preflight-%:
	@PYTHON="$(PYTHON)" VENV="$(VENV)" tools/preflight $*

$(BIN)/python:
	@$(PYTHON) -m venv --clear $(VENV)

$(RUNTIME): requirements/runtime.txt pyproject.toml $(BIN)/python
	@echo "installing requirements/runtime.txt into $(VENV)"
	@$(PIP) install --require-hashes --requirement requirements/runtime.txt
	@$(PIP) install --no-build-isolation --no-deps --editable .
	@touch $@

$(DEV): requirements/dev.txt $(RUNTIME)
	@echo "installing requirements/dev.txt into $(VENV)"
	@$(PIP) install --require-hashes --requirement requirements/dev.txt
	@touch $@

$(CLICKHOUSE): requirements/clickhouse.txt $(DEV)
	@echo "installing requirements/clickhouse.txt into $(VENV)"
	@$(PIP) install --require-hashes --requirement requirements/clickhouse.txt
	@touch $@
