# Everything that is made here, made from a bare clone: Python 3.11 and make are all it takes.
PYTHON ?= python3.11
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet --no-input
TEST_WORKERS ?= 2
export HALA_TOOLS ?= $(CURDIR)/.tools
# where it is set, every process that a test starts compiles all of us again
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test check bench samples clean

setup: .venv/.core ## the project's environment, with .venv/bin/hala-factory

.venv/.core: pyproject.toml constraints.txt $(wildcard factory/*.py factory/*/*.py samples/*)
	@echo "making .venv: a minute or two"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv || python3 -m venv .venv
	$(PIP) install --constraint constraints.txt --editable .
	touch $@

.venv/.dev: .venv/.core
	$(PIP) install --constraint constraints.txt --editable ".[dev]"
	touch $@

.venv/.local: .venv/.dev
	$(PIP) install "$$(grep '^torch==' constraints.txt)"
	$(PIP) install --constraint constraints.txt --editable ".[local,train,merge,eval,review,s3]"
	touch $@

demo: setup ## build the first corpus from samples: no network, no server, no GPU
	$(BIN)/hala-factory build arabic-instruct-v1 --profile demo
	@echo; $(BIN)/hala-factory show arabic-instruct-v1@dev
	@echo; $(BIN)/hala-factory why --example arabic-instruct-v1@dev

test: .venv/.local ## everything, with a real vLLM server and a real small translator
	$(BIN)/hala-factory tools install vllm
	$(BIN)/hala-factory tools install llmcompressor
	$(BIN)/hala-factory tools install argilla
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

check: .venv/.dev ## format, lint, types, imports, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy -p hala_factory
	$(BIN)/lint-imports
	$(BIN)/hala-factory schema --check recipes/recipe.schema.json
	$(BIN)/cog --check README.md
	$(BIN)/python samples/make.py --check

bench: .venv/.dev ## ratios against rivals, printed; figures are kept in benchmarks/RESULTS.md
	$(BIN)/python benchmarks/filters.py

samples: .venv/.core ## write samples/ in the sources' own file forms from samples/written/
	$(BIN)/python samples/make.py

clean: ## everything but the stores people built
	rm -rf .venv .tools build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
