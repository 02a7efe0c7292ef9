# Two virtual environments, each made on first use from a lock file with hashes:
# .venv runs the product, .venv-test its tests. Needs Python 3.11 or newer with pip.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
RUN := .venv
TEST := .venv-test
PIP := --disable-pip-version-check --quiet

.PHONY: demo install test lint types layers check bench screenshots lock clean

demo: install ## Set everything up and run the main job on a small lake.
	$(RUN)/bin/bronze demo

install: $(RUN)/.ready

test: $(TEST)/.ready ## Set everything up and run the tests.
	$(TEST)/bin/pytest -n 3

lint: $(TEST)/.ready
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .

types: $(TEST)/.ready
	$(TEST)/bin/mypy

layers: $(TEST)/.ready
	$(TEST)/bin/lint-imports --no-cache

check: lint types layers

bench: $(TEST)/.ready
	$(TEST)/bin/python bench/throughput.py

screenshots: $(TEST)/.ready ## Copy a demo lake and photograph every page of the app on it.
	$(TEST)/bin/python docs/screenshots.py

$(RUN)/.ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(RUN)
	$(RUN)/bin/pip install $(PIP) --require-hashes -r requirements.lock
	$(RUN)/bin/pip install $(PIP) --no-deps -e .
	touch $@

$(TEST)/.ready: requirements-dev.lock pyproject.toml
	$(PYTHON) -m venv $(TEST)
	$(TEST)/bin/pip install $(PIP) --require-hashes -r requirements-dev.lock
	$(TEST)/bin/pip install $(PIP) --no-deps -e .
	touch $@

lock: ## Renew both lock files (needs uv).
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url pyproject.toml -o requirements.lock --upgrade
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url --extra dev pyproject.toml -o requirements-dev.lock --upgrade

clean:
	rm -rf $(RUN) $(TEST) demo
