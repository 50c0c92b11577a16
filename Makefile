# What you can do here; `make` alone lists it. Everything is installed into .venv, nothing elsewhere.

# The Python to build .venv with: 3.11 or newer, for instance `make setup PYTHON=python3.12`.
PYTHON ?= python3
# For pytest; one process a core unless you say otherwise, for instance `make test PYTEST_ARGS="-k config -x"`.
PYTEST_ARGS ?= -n auto --dist loadfile --no-loadscope-reorder
# What the tests need beside the package itself; the extras stand in pyproject.toml.
TEST_EXTRAS ?= dev,serve,optimize

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STARTER := $(BIN)/python quickstart/get_starter.py
INSTALL := $(PIP) install --quiet --constraint constraints.txt

.DEFAULT_GOAL := help
.PHONY: help setup quickstart starter test test-fast check fix docs smoke bench bench-predict bench-serve chaos clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

setup: $(VENV)/.installed ## install ForgeML into .venv; does nothing when that is up to date

quickstart: setup starter ## train a small model on real reviews and try it, in a few minutes
	$(BIN)/forgeml train quickstart/config.yaml
	$(BIN)/forgeml predict quickstart/best_model \
		"A warm, funny film that I would see again." \
		"Two hours of my life that I will not get back."

starter: setup ## get the model and the data of the quickstart, once (86 MB)
	@$(STARTER)

test: $(VENV)/.installed-dev ## run all tests
	@$(STARTER)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

test-fast: $(VENV)/.installed-dev ## run the tests that take seconds
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

check: $(VENV)/.installed-dev ## check format, style, types and generated pages
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/python docs/generate.py --check

fix: $(VENV)/.installed-dev ## mend format and style where that can be done by itself
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

docs: $(VENV)/.installed-dev ## write the generated pages anew
	$(BIN)/python docs/generate.py

smoke: $(VENV)/.installed-dev ## build the wheel, install it on its own and use it
	@$(STARTER)
	bash scripts/smoke.sh $(BIN)/python

bench: $(VENV)/.installed-bench ## compare training with the library's Trainer: DATA=folder MODEL=folder, more in ARGS
	$(if $(and $(DATA),$(MODEL)),,@$(STARTER))
	$(BIN)/python benchmarks/train.py $(if $(MODEL),--model "$(MODEL)") $(if $(DATA),--data "$(DATA)") $(ARGS)

bench-predict: $(VENV)/.installed-dev ## compare engines with the pipeline: DATA=folder MODELS=folder, more in ARGS
	$(BIN)/python benchmarks/predict.py $(if $(MODELS),--models "$(MODELS)") $(if $(DATA),--data "$(DATA)") $(ARGS)

bench-serve: $(VENV)/.installed-dev ## compare the server with others: MODEL=folder DATA=folder, more in ARGS
	$(if $(DATA),,@$(STARTER))
	$(BIN)/python benchmarks/serve.py $(if $(MODEL),--model "$(MODEL)") $(if $(DATA),--data "$(DATA)") $(ARGS)

chaos: $(VENV)/.installed-dev ## kill, stop, damage and starve trainings many times: ARGS=--short, ARGS="kills --runs 20"
	cd tests && ../$(BIN)/python -m chaos $(ARGS)

clean: ## remove .venv, the starter files and all that was built
	rm -rf $(VENV) quickstart/starter quickstart/.starter-* quickstart/best_model quickstart/last_model quickstart/mlflow.db* \
		quickstart/mlruns quickstart/tracking \
		build dist src/*.egg-info .mypy_cache .pytest_cache .ruff_cache

$(VENV)/.python:
	@command -v $(PYTHON) >/dev/null || { \
		echo "$(PYTHON): no such program here" >&2; \
		echo "  fix: install Python 3.11 or newer, or name the one you have: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
		exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "$(PYTHON): ForgeML needs Python 3.11 or newer, and this is `$(PYTHON) --version 2>&1 | tail -n 1`" >&2; \
		echo "  fix: install a newer Python and name it, for instance: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
		exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# torch comes first and alone: asked for by itself, pip takes the build that suits the machine's sources of packages, and
# what is installed afterwards leaves it as it is.
$(VENV)/.installed: $(VENV)/.python pyproject.toml constraints.txt
	$(INSTALL) torch
	$(INSTALL) --editable ".[train]"
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) --editable ".[$(TEST_EXTRAS)]"
	@touch $@

$(VENV)/.installed-bench: $(VENV)/.installed-dev
	$(INSTALL) --editable ".[bench]"
	@touch $@
