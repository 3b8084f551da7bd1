# A fresh machine needs Python >= 3.11 and make; the rest comes by itself. Nothing is done twice without need.
#
#   make run     set up, then serve the whole product: console, checkout, sandbox
#   make test    set up, then run every check and test; PYTEST_ARGS="-k refund" picks some
#   make lint    style, types and import contracts alone
#   make messages  bring the catalogs of translations up to the texts in the code
#   make format  put the code into the house style
#   make bench   measure
#   make prove   try what docs/reliability.md promises, at length; PROVE_ARGS="--only clock --scale 0.1" does less
#   make lock    renew the lock files from pyproject.toml

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
PYTEST_ARGS ?=
PROVE_ARGS ?=

# Stamps: each stands for work done, and is older than its sources when that has to be done again.
RUNTIME := .venv/.runtime
TESTING := .venv/.testing
CONSOLE := paylink/console/index.html
# schema.d.ts is made from openapi.json by every npm script that needs it.
CONSOLE_SOURCES := $(shell find agent_ui -type f -not -path '*/node_modules/*' -not -name schema.d.ts)

.PHONY: setup run test lint format messages bench prove lock clean
.DEFAULT_GOAL := run

setup: $(RUNTIME) $(CONSOLE)
	@:

run: setup
	@exec $(BIN)/paylink serve --demo

test: setup $(TESTING)
	@.ci/system-packages
	@$(BIN)/pytest -n 3 --dist loadfile -r fEs $(PYTEST_ARGS)

lint: $(TESTING) $(CONSOLE)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@.ci/quietly $(BIN)/mypy
	@.ci/quietly $(BIN)/lint-imports --no-logo
	@.ci/quietly .ci/npm run lint

format: $(TESTING) $(CONSOLE)
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .
	@.ci/quietly .ci/npm run fix

messages: $(RUNTIME)
	@$(BIN)/python .ci/messages

bench: setup $(TESTING)
	@$(BIN)/python -m tests.bench

prove: setup $(TESTING)
	@.ci/system-packages
	@$(BIN)/python -m tests.prove $(PROVE_ARGS)

lock: $(RUNTIME)
	@.ci/lock

clean:
	@rm -rf .venv agent_ui/node_modules paylink/console

$(RUNTIME): requirements.txt requirements-build.txt pyproject.toml .ci/venv .ci/python
	@.ci/venv requirements.txt requirements-build.txt
	@touch $@

$(TESTING): $(RUNTIME) requirements-test.txt
	@.ci/venv requirements-test.txt
	@touch $@

$(CONSOLE): $(CONSOLE_SOURCES) .ci/console .ci/node requirements-node.txt | $(RUNTIME)
	@.ci/console
	@touch $@
