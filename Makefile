# Two commands for a fresh machine: `make demo` and `make test`. Only python3 (3.11 or newer) and make are needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal

# CI has all that tests can use, so that none is skipped.
ifeq ($(CI),true)
EXTRAS := dev,stores,anthropic
DEV := $(VENV)/.installed-ci
else
EXTRAS := dev
DEV := $(VENV)/.installed-dev
endif

.PHONY: demo test check format lint types imports docs coverage clean

demo: $(VENV)/.installed  ## index Python's own library and answer three questions from it
	$(BIN)/intelforge demo

test: $(DEV)  ## all tests
	$(PYTEST)

check: $(DEV) format lint types imports docs coverage  ## what CI runs

format:
	$(BIN)/ruff format --check .

lint:
	$(BIN)/ruff check .

types:
	$(BIN)/mypy

imports:
	$(BIN)/lint-imports

docs:
	$(BIN)/python -m pytest -q tests/test_docs.py

coverage:  ## `make test` with branch coverage
	$(PYTEST) --cov --cov-report=term

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

$(DEV): $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	$(BIN)/intelforge models pull all-MiniLM-L6-v2
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* demo-workspace
