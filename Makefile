# Each target installs what it needs. `make` alone lists the targets.
PYTHON ?= python3
BIN := .venv/bin
PACKAGES := .venv/.packages
READY := .venv/.ready
export MLFLOW_DISABLE_TELEMETRY := true
export DO_NOT_TRACK := true

# as in the activated environment; the rules that make it take the machine's own Python
IN_ENV := PATH="$(CURDIR)/$(BIN):$$PATH"

.DEFAULT_GOAL := help
.PHONY: help setup repro baseline test slow lint ui report verify bench clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv with the pinned packages and the project itself

$(READY): $(PACKAGES) pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $(READY)

$(PACKAGES): requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, found " + sys.version.split()[0] + "; name one: make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv
	@echo 'Installing about 200 pinned packages into .venv: on Linux 3 GB to download, mostly torch with CUDA, and 6 GB on disk; a few minutes on a fast line.'
	$(BIN)/python -m pip install --disable-pip-version-check --require-hashes --no-deps -r requirements.txt
	@echo 'export MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true' >> $(BIN)/activate
	@touch $(PACKAGES)

repro: $(READY) ## run the pipeline: the stages whose inputs changed (dvc repro)
	@$(IN_ENV) dvc repro
	@$(IN_ENV) genbalance sync
	@$(IN_ENV) genbalance status

baseline: $(READY) ## commit this machine's results on a new branch, if they differ from the commit's
	@$(IN_ENV) genbalance baseline

test: $(READY) ## run the tests, except the slow ones (pytest, a process for each CPU, at most eight)
	@$(IN_ENV) pytest --numprocesses=auto --dist=loadfile --no-loadscope-reorder

slow: $(READY) ## run the slow tests, which take minutes each
	@$(IN_ENV) pytest -m slow -s

lint: $(READY) ## run ruff and mypy
	@$(IN_ENV) ruff check
	@$(IN_ENV) ruff format --check
	@$(IN_ENV) mypy

ui: $(READY) ## open the runs in MLflow, in the browser (make ui PORT=5001)
	@$(IN_ENV) genbalance ui $(if $(PORT),--port $(PORT))

report: $(READY) ## run the stages that the report page needs
	@$(IN_ENV) dvc repro report
	@echo "reports/index.html"

verify: $(READY) ## reproduce a commit and check byte identity (make verify REV=main)
	@$(IN_ENV) genbalance verify $(REV)

bench: $(READY) ## measure speed, relative to reference implementations
	@$(IN_ENV) dvc repro --quiet prepare
	@$(IN_ENV) python -m benchmarks.training
	@$(IN_ENV) python -m benchmarks.overhead
	@$(IN_ENV) python -m benchmarks.evaluation
	@$(IN_ENV) python -m benchmarks.likelihood
	@$(IN_ENV) python -m benchmarks.stacked
	@$(IN_ENV) python -m benchmarks.processes

clean: ## remove the environment, outs and caches; the runs in mlflow.db stay
	rm -rf .venv .checkpoints models artifacts reports data/prepared .dvc/cache .dvc/tmp .mypy_cache .pytest_cache .ruff_cache
