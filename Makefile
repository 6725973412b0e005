# Every target works from a bare clone: it makes .venv first, from locked requirements.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: run test lint acceptance bench lock clean

run: $(VENV)/.runtime
	@exec $(BIN)/python -m synnefo_tx.demo.run

test: $(VENV)/.dev
	@$(BIN)/python -m tests.support.suite

lint: $(VENV)/.dev
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

acceptance: $(VENV)/.dev
	@$(BIN)/python -m tests.acceptance.run $(SUITE)

bench: $(VENV)/.bench
	@$(BIN)/python -m bench.run $(ONLY)

# The sources of txamqp and txpostgres are built with a locked setuptools, not a fetched one.
$(VENV)/.runtime: requirements/build.txt requirements/runtime.txt setup.py
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked requirements into $(VENV)"
	@$(PIP) install --require-hashes -r requirements/build.txt
	@$(PIP) install --require-hashes --no-build-isolation -r requirements/runtime.txt
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements/dev.txt
	@echo "installing the locked development requirements into $(VENV)"
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.bench: $(VENV)/.dev requirements/bench.txt
	@echo "installing the locked peers of the benchmarks into $(VENV)"
	@$(PIP) install --require-hashes -r requirements/bench.txt
	@touch $@

lock:
	$(PYTHON) -m venv $(VENV)-lock && $(VENV)-lock/bin/python -m pip install -q pip-tools
	cd requirements && for part in build runtime dev bench; do \
	  ../$(VENV)-lock/bin/pip-compile -q --upgrade --generate-hashes --allow-unsafe \
	    --no-emit-index-url --no-emit-find-links --strip-extras $$part.in -o $$part.txt; done

clean:
	rm -rf $(VENV) $(VENV)-lock build *.egg-info
