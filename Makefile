# Needs Python 3.11+ with venv, make and a package index. Everything else is installed into .venv.
PYTHON ?= python3
UV_VERSION := 0.13.8
BIN := .venv/bin
UV := .venv/uv/bin/uv
# A file's tests share what is costly to make.
ALL_CORES := --numprocesses auto --dist loadfile

.PHONY: setup demo test test-fast lint ui clean

setup: .venv/ready

.venv/ready: pyproject.toml uv.lock
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	test -x $(UV) || $(PYTHON) -m venv .venv/uv
	.venv/uv/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	UV_PROJECT_ENVIRONMENT=.venv $(UV) sync --frozen --quiet
	touch $@

demo: setup
	$(BIN)/idm demo

ui: setup
	$(BIN)/idm ui

test: setup
	$(BIN)/pytest $(ALL_CORES)

test-fast: setup
	$(BIN)/pytest $(ALL_CORES) -m "not slow"

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright

clean:
	rm -rf .venv data
