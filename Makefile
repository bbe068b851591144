# Each target does all the set-up that it needs, on a machine with Python 3.11-3.13 and make.
# A stamp file in the environment keeps a second run quick; it is renewed when the dependencies change.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
JOBS   ?= 2
OUT    ?= out
PIP    := $(BIN)/python -m pip --disable-pip-version-check

# The scripts that ask a question; the others serve them.
BENCHMARKS := $(filter-out benchmarks/record.py benchmarks/tables.py benchmarks/figures.py,$(sort $(wildcard benchmarks/*.py)))

export MPLBACKEND ?= Agg
export NO_MKDOCS_2_WARNING := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test check bench docs tables format clean

help:  ## show this list
	@echo "make TARGET, with PYTHON=$(PYTHON) and the environment in $(VENV)"
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-8s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.demo  ## store real images, recall them from fragments, draw the figure
	$(BIN)/mossy demo --out $(OUT)

test: $(VENV)/.dev  ## run the tests
	$(BIN)/python -m pytest -n $(JOBS) $(PYTEST_ARGS)

check: $(VENV)/.dev  ## style, types, import order, docs, tables
	@echo "check: style"
	@$(BIN)/ruff check --quiet --output-format concise .
	@$(BIN)/ruff format --check --quiet .
	@echo "check: types"
	@$(BIN)/mypy
	@echo "check: import order"
	@$(BIN)/lint-imports --config pyproject.toml
	@echo "check: tables"
	@$(BIN)/python benchmarks/tables.py --check
	@echo "check: docs"
	@$(BIN)/mkdocs build --strict --quiet
	@echo "check: all is well"

bench: $(VENV)/.bench  ## run every benchmark, then write the tables
	@set -e; for script in $(BENCHMARKS); do echo "bench: $$script"; $(BIN)/python "$$script"; done
	@echo "bench: tables and figures"
	@$(BIN)/python benchmarks/tables.py
	@$(BIN)/python benchmarks/figures.py

tables: $(VENV)/.dev  ## write tables and figures from the results, without measuring
	$(BIN)/python benchmarks/tables.py
	$(BIN)/python benchmarks/figures.py

docs: $(VENV)/.dev  ## build the pages into site/
	$(BIN)/mkdocs build --strict --quiet
	@echo "docs: open site/index.html"

format: $(VENV)/.dev  ## lay out the code and mend what ruff can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment, caches and what was built
	rm -rf $(VENV) build dist site $(OUT) .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# --- set-up --------------------------------------------------------------------------------------

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v <= (3, 13) else "mossy needs Python 3.11, 3.12 or 3.13; this is %d.%d. Name another: make TARGET PYTHON=python3.12" % v)'
	@echo "set-up: environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml constraints.txt
	@echo "set-up: mossy with its demo (a minute or two, once)"
	@$(PIP) install --quiet -c constraints.txt -e '.[cli,lab]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml constraints.txt
	@echo "set-up: mossy with its development tools (a minute or two, once)"
	@$(PIP) install --quiet -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.bench: $(VENV)/.dev benchmarks/requirements.txt
	@echo "set-up: the packages that the benchmarks measure beside mossy"
	@$(PIP) install --quiet -c constraints.txt -r benchmarks/requirements.txt
	@$(PIP) install --quiet --no-deps libcachesim==0.3.5 # what it depends on, and does not use, contradicts our pins
	@touch $@
