# The targets that people and CI call. `make test` is what .ci/run runs.
PYTHON  ?= python3
VENV    ?= .venv
WORKERS ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
BENCH   ?= --quick
BIN     := $(VENV)/bin
READY   := $(VENV)/.ready
# One that hangs says after a quarter of an hour where it stands, and the others go on.
PYTEST  := $(BIN)/python -m pytest -rs -n $(WORKERS) --dist worksteal --timeout 900

# Thousands of processes start in the tests: each would compile what it imports anew where the caller forbids to keep it.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo demo-stop test test-fast lint format bench docs lock clean

help:       ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

setup: $(READY)  ## a virtual environment with everything that the tests need
$(READY): pyproject.toml requirements/lock.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "needs Python 3.11 or newer: make setup PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c requirements/lock.txt -e '.[dev]'
	@touch $@

demo: setup ## the main job on a synthetic market, offline, in .demo/; its gateway stays up
	$(BIN)/python examples/demo.py

demo-stop: setup ## end the gateway of the demo
	$(BIN)/python examples/demo.py stop

test: setup ## every test, slow ones too
	$(PYTEST)

test-fast: setup ## the tests that take less than a second each
	$(PYTEST) -m 'not slow'

lint: setup ## style, types, import contracts, house rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest tests/house/test_tidy.py

format: setup ## rewrite the layout of the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup ## every question of bench/, as JSON in bench/results/ (BENCH= for full length)
	@mkdir -p bench/results
	@for question in bench/*.py; do \
	  answer=bench/results/$$(basename $$question .py).json; echo $$answer; \
	  $(BIN)/python $$question $(BENCH) > $$answer.part && mv $$answer.part $$answer || \
	  { rm -f $$answer.part; exit 1; }; done

docs: setup ## the documentation as a site in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

lock:       ## resolve all extras together anew (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 \
	  --no-emit-index-url --no-header --no-annotate -o requirements/lock.txt

clean:      ## remove what the targets above made, but not the environment
	rm -rf site dist build .demo .pytest_cache .ruff_cache .mypy_cache .import_linter_cache .hypothesis
