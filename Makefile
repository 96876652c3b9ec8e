# Each target sets up what it needs. `make` alone tells what there is.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export PATH := $(CURDIR)/$(BIN):$(PATH)
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

.DEFAULT_GOAL := help
.PHONY: help setup repro test lint ui report bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the pinned packages and the project itself

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; found " + sys.version.split()[0])'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@echo 'export MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true' >> $(BIN)/activate
	@touch $(READY)

repro: $(READY) ## run the six stages, those whose inputs changed (dvc repro)
	@dvc repro

test: $(READY) ## the tests (pytest)
	@pytest

lint: $(READY) ## ruff and mypy
	@ruff check
	@ruff format --check
	@mypy

ui: $(READY) ## the runs in the browser (mlflow ui)
	@mlflow ui

report: $(READY) ## run the stages up to the report and name the page
	@dvc repro report
	@echo "reports/index.html"

bench: $(READY) ## speed, as ratios against references in the same run
	@PYTHONPATH=src python benchmarks/speed.py

clean: ## remove the environment, outs and caches; the runs in mlflow.db stay
	rm -rf .venv models artifacts reports data/prepared .dvc/cache .dvc/tmp .mypy_cache .pytest_cache .ruff_cache
