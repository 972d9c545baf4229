# spark_prox: `make help` lists the targets. Everything is installed into .venv; nothing outside the checkout changes
# but the caches of pip and Ivy.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SPARK := PYSPARK_PYTHON="$(CURDIR)/$(BIN)/python" $(BIN)/spark-submit --properties-file conf/spark-local.conf
WAREHOUSE ?= warehouse
# Test files at a time: each process has a JVM of 2 GB of its own, and waits half of its time. Two cores keep three busy.
TEST_PROCESSES ?= 3

.PHONY: help setup demo test test-slow test-cloud soak crash-states check format map bench clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(STAMP) ## create .venv with pinned packages and Delta's jars

$(STAMP): requirements.txt setup.py dev/setup_spark.py
	@echo "== creating $(VENV)"
	$(PYTHON) -m venv $(VENV)
	@echo "== installing packages (PyPI's torch brings its CUDA libraries: about 3 GB to download)"
	$(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@echo "== resolving Delta's jars"
	$(BIN)/python dev/setup_spark.py
	@touch $@

demo: setup ## refine the example pages and show what happened
	$(SPARK) jobs/refine.py --config conf/local.yaml --warehouse "$(WAREHOUSE)"

test: setup ## run the test suite
	@$(BIN)/python dev/setup_vllm.py
	@$(BIN)/python dev/setup_browser.py
	$(BIN)/python -m pytest -m "not slow" -n $(TEST_PROCESSES) --dist loadscope --no-loadscope-reorder --durations 20

test-slow: setup ## before a release: kills, two jobs at once and the other tests that take minutes each
	$(BIN)/python -m pytest -m slow

test-cloud: setup ## object stores, HDFS and YARN, on servers that it fetches once (1 GB) and starts on this machine
	$(BIN)/python dev/setup_cloud.py
	$(BIN)/python -m pytest tests/cloud --durations 20

soak: setup ## kill drivers, executors and workers of real runs at random moments, for an hour; SOAK="--rounds 5"
	$(BIN)/python dev/soak.py $(SOAK)

crash-states: setup ## go on from what a kill could leave on disk, state by state; STATES="--scenario changes"
	$(BIN)/python dev/crash_states.py $(STATES)

check: setup ## format, lint and types; changes nothing
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup ## format the code and sort imports
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

map: setup ## write docs/map.md from the files' first sentences
	$(BIN)/python dev/map.py

bench: setup ## measure against the reference implementations into bench/RESULTS.md; BENCH="--skip engine alternatives"
	$(BIN)/python bench/run.py $(BENCH)

clean: ## remove .venv, caches and the demo's tables
	rm -rf $(VENV) warehouse spark-warehouse build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
