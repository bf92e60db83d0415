# Works on a fresh clone with python3 (3.11 or newer), make and a package index. Each target creates and
# reuses .venv; test-newer has .venv-newer, test-spark .venv-spark, bench-posterior .venv-peers as well.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-newer test-spark bench-spark lint format notebooks torture bench bench-backtesting bench-calibration bench-posterior bench-replay bench-exports accuracy clean

$(VENV)/.installed: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.tested: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test,dev]"
	touch $@

demo: $(VENV)/.installed
	$(BIN)/forecast demo --out demo

# Tests of a file stay together, so that what they share is made once. Notebooks run in a target of their own.
test: $(VENV)/.tested
	$(BIN)/python -m pytest -n auto --dist loadfile --ignore=tests/test_notebooks.py

torture: $(VENV)/.tested
	CLV_TORTURE=200 $(BIN)/python -m pytest tests/store/test_ledger.py

test-newer:
	PYTHON=$(PYTHON) bash .ci/newer

# Spark 4 on two workers of this machine; needs Java 17 or newer (bash .ci/java), else everything is skipped.
.venv-spark/.tested: pyproject.toml
	test -x .venv-spark/bin/python || $(PYTHON) -m venv .venv-spark
	.venv-spark/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[test,spark]"
	touch $@

test-spark: .venv-spark/.tested
	.venv-spark/bin/python -m pytest -p no:xdist -rs tests/spark

lint: $(VENV)/.tested
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.tested
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: $(VENV)/.tested
	$(BIN)/python -m pytest -p no:xdist tests/test_notebooks.py

bench: $(VENV)/.tested
	$(BIN)/python benchmarks/speed.py
	$(MAKE) bench-backtesting bench-calibration

bench-backtesting: $(VENV)/.tested
	$(BIN)/python benchmarks/backtesting.py

bench-calibration: $(VENV)/.tested
	$(BIN)/python benchmarks/calibration.py --method nuts --simulations 200

bench-posterior: $(VENV)/.tested
	$(BIN)/python benchmarks/posterior.py

bench-exports: $(VENV)/.tested
	$(BIN)/python benchmarks/exports.py

# CLV_BENCH_ORDERS: how many orders, 20 million by default.
bench-spark: .venv-spark/.tested
	.venv-spark/bin/python benchmarks/spark.py

# CLV_BENCH_DATA as for accuracy.
bench-replay: $(VENV)/.tested
	$(BIN)/python benchmarks/replay.py

# CLV_BENCH_DATA names a folder of further order logs in Parquet.
accuracy: $(VENV)/.tested
	$(BIN)/python benchmarks/accuracy.py

clean:
	rm -rf $(VENV) .venv-newer .venv-spark .venv-peers demo build dist .pytest_cache .mypy_cache .ruff_cache
