# Everything works as the first command on a fresh machine that has Python >= 3.10, make and git.
PYTHON ?= $(shell for p in python3.12 python3.11 python3.10 python3 python3.13; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
READY := .venv/.ready
SCHEMAS := .venv/.schemas

.PHONY: help demo test coverage lint chaos mutants bench package serve clean
help:  ## What there is
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile

$(READY): pyproject.toml requirements.txt deploy/constraints.txt
	@test -n "$(PYTHON)" || { echo "Python >= 3.10 with venv is needed (Debian and Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "Making .venv with $(PYTHON) (once, about a minute)…"
	@$(PYTHON) -m venv --clear .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint deploy/constraints.txt --requirement requirements.txt --editable '.[dev]'
	@touch $(READY)

$(SCHEMAS): $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint deploy/constraints.txt --editable '.[schemas]'
	@touch $(SCHEMAS)

demo: $(READY)  ## A timer event is backed up, then a pipeline waits for its backup; no account needed
	@$(BIN)/python -m simulator demo

test: $(READY) $(SCHEMAS)  ## All tests
	@$(BIN)/python -m pytest -n auto

coverage: $(READY) $(SCHEMAS)  ## All tests, and how much of the code they run: it takes twice as long
	@$(BIN)/python -m pytest -n auto --cov --cov-report=term --cov-fail-under=98

lint: $(READY)  ## Format, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

chaos: $(READY)  ## 500 rounds of faults, kills and repeats
	@$(BIN)/python -m chaos

mutants: $(READY)  ## Break the core on purpose, one way at a time; tests or chaos must tell (half an hour)
	@$(BIN)/python -m tests.mutants

bench: $(READY)  ## Measure, and write docs/benchmarks.md
	@$(BIN)/python -m benchmarks

package: $(READY)  ## Build what is deployed, in build/package
	@$(BIN)/python deploy/package.py

serve: $(READY)  ## The simulated cloud, for any other client
	@$(BIN)/python -m simulator serve

clean:  ## Remove what was made here
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
