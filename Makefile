# `make` lists what there is. Everything is kept in .venv/ and var/ (or MIDEFICS_HOME).
.DEFAULT_GOAL := help
.PHONY: help setup demo down test test-slow lint format
CONFIG ?= demo
BIN := .venv/bin
STAMP := .venv/.midefics-is-installed
# Without compiled files every process of the demo reads all of Airflow or torch as source again: 6 s instead of 2, 37 instead of 14.
unexport PYTHONDONTWRITEBYTECODE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## install everything into .venv (the other targets do it themselves)

# The stamp is written last: an install that was interrupted is finished next time.
$(STAMP): pyproject.toml docker/constraints.txt docker/setup.sh
	@sh docker/setup.sh
	@touch $@

demo: $(STAMP) ## the whole way on this machine, under Airflow, with a tiny model
	@$(BIN)/midefics demo --config $(CONFIG)

down: ## stop every server that `make demo` started, and nothing else
	@if [ -x $(BIN)/midefics ]; then $(BIN)/midefics down; else echo "nothing was started from here"; fi

test: $(STAMP) ## all tests that need no GPU and take seconds
	@$(BIN)/python -m pytest -n auto --dist loadfile

test-slow: $(STAMP) ## the tests that take minutes: real servers, real training
	@$(BIN)/python -m pytest -m slow

lint: $(STAMP) ## ruff, mypy, import-linter
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

format: $(STAMP) ## let ruff rewrite
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .
