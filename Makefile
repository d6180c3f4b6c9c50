# The commands of the README. Each makes its own environment in .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all lint docs perf measured clean

demo: $(VENV)/.installed
	$(BIN)/python -m benchmark run --methods all --dataset simulated

# The quick round: at least one test of everything that matters.
test: $(VENV)/.installed-test lint
	$(BIN)/python -m pytest -n auto --dist worksteal -m "not slow"

# Everything: the quick round, then what takes longer.
test-all: test
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

# The documentation site, in site/; a broken link or an undocumented name is an error.
docs: $(VENV)/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

# Ratios and overheads measured in one run; never part of the tests. NETWORK=restormer measures one network alone.
perf: $(VENV)/.installed-test
ifdef NETWORK
	$(BIN)/python -m tests.perf.networks $(NETWORK)
else
	$(BIN)/python -m tests.perf.demonstration
	$(BIN)/python -m tests.perf.operator
	$(BIN)/python -m tests.perf.restoration
	$(BIN)/python -m tests.perf.networks
	$(BIN)/python -m tests.perf.training
	$(BIN)/python -m tests.perf.scoring
	$(BIN)/python -m tests.perf.bookkeeping
endif

# Measure again what lies in results/measured and compare; hours, resumable. make measured ARGUMENTS="--only demo"
measured: $(VENV)/.installed-test
	$(BIN)/python -m tests.measured $(ARGUMENTS)

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; try: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e '.[test]'
	touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	touch $@

clean:
	rm -rf $(VENV) build site *.egg-info .pytest_cache .mypy_cache .ruff_cache
