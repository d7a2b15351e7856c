# The words of this project. Needs Python 3.11+, make and git; everything else is put into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ALL_TESTS := -m pytest -n auto --dist worksteal

TOOLS := @redocly/cli@2 har-schema@2 jsdom@26 mermaid@11
PEERS := wiremock@3 mockserver-node@8 @stoplight/prism-cli@5 @copilotkit/aimock@1

.PHONY: demo test tests lint types cov fmt serve bench bench-quick base soak nightly mutation clean ruff layers sizes tools
.DEFAULT_GOAL := test
# The tests start many Pythons; where the machine forbids to keep what they compile, each compiles everything anew.
export PYTHONDONTWRITEBYTECODE :=
# The steps of a word run in the order in which they are named, with -j too.
.NOTPARALLEL:

say = @printf '\n== %s\n'

# An older Python is refused at once; pip would look for a way out for minutes. Its log is shown when something fails.
$(STAMP): pyproject.toml
	$(say) "setup: $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "$(PYTHON) is too old: make PYTHON=python3.11")'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet -e '.[dev]' >$(VENV)/setup.log 2>&1 || { cat $(VENV)/setup.log >&2; exit 1; }
	@touch $@

demo: $(STAMP)
	@$(BIN)/understudy demo

# With COVERAGE=yes, as CI has it, the tests must touch every line and branch, and take half as long again.
test: ruff types layers sizes $(if $(COVERAGE),cov,tests)

lint: ruff layers sizes

ruff: $(STAMP)
	$(say) "ruff check"
	@$(BIN)/ruff check
	$(say) "ruff format"
	@$(BIN)/ruff format --check

types: $(STAMP)
	$(say) "mypy"
	@$(BIN)/mypy

layers: $(STAMP)
	$(say) "layers"
	@$(BIN)/lint-imports --no-logo

sizes: $(STAMP)
	$(say) "sizes"
	@$(BIN)/python -m pytest -qq -s tests/test_sizes.py

tests: $(STAMP)
	$(say) "tests"
	@$(BIN)/python $(ALL_TESTS)

cov: $(STAMP)
	$(say) "tests, measured"
	@$(BIN)/coverage erase
	@$(BIN)/coverage run $(ALL_TESTS)
	$(say) "coverage"
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report

fmt: $(STAMP)
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

# What other people wrote to read what `understudy export` writes; without it their tests are skipped. It needs npm.
tools: .tools/installed

.tools/installed: Makefile
	$(say) "tools: .tools"
	@mkdir -p .tools
	@npm install --silent --no-audit --no-fund --no-save --prefix .tools $(TOOLS)
	@touch $@

# make serve PROVIDERS="kie oxen"; all of them when none is named.
serve: $(STAMP)
	@$(BIN)/understudy serve $(PROVIDERS)

# Everything, in a quarter of an hour, into docs/performance.md; or make bench ROWS="core transport", into .bench/.
bench: $(STAMP) .tools-bench/installed base
	@$(BIN)/python -m benchmarks $(if $(ROWS),--rows $(ROWS),--out docs)

# A look at the same in two minutes, into .bench/.
bench-quick: $(STAMP) .tools-bench/installed base
	@$(BIN)/python -m benchmarks --quick $(if $(ROWS),--rows $(ROWS))

# What is measured beside us, as it is released. What a machine lacks is left out, and its rows say so.
.tools-bench/installed: Makefile $(STAMP)
	$(say) "bench: .tools-bench"
	@mkdir -p .tools-bench
	@[ "$$(id -u)" != 0 ] || { command -v java && command -v npm; } >/dev/null || { apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq default-jre-headless nodejs npm >/dev/null; }
	@command -v java >/dev/null || echo "java is missing: WireMock and MockServer are left out"
	@command -v npm >/dev/null || echo "npm is missing: WireMock, MockServer, Prism and aimock are left out"
	@! command -v npm >/dev/null || npm install --silent --no-audit --no-fund --no-save --prefix .tools-bench $(PEERS)
	@$(BIN)/python -m pip freeze --exclude-editable >.tools-bench/constraints.txt
	@$(PYTHON) -m venv .tools-bench/base
	@$(PYTHON) -m venv .tools-bench/limit
	@.tools-bench/limit/bin/pip install --quiet -c .tools-bench/constraints.txt starlette uvicorn uvloop httptools orjson
	@touch $@

# The project as a user has it who asks for no extra, with the same versions of what it needs.
base: $(STAMP) .tools-bench/installed
	@rm -rf .tools-bench/dist
	@$(BIN)/python -m build --wheel --no-isolation --outdir .tools-bench/dist >/dev/null
	@.tools-bench/base/bin/pip install --quiet -c .tools-bench/constraints.txt .tools-bench/dist/*.whl
	@.tools-bench/base/bin/pip install --quiet --force-reinstall --no-deps .tools-bench/dist/*.whl

# Ten minutes of load, or make soak SECONDS=60.
soak: $(STAMP)
	@$(BIN)/python benchmarks/soak.py --seconds $(or $(SECONDS),600)

# Two thousand runs in which everything goes wrong, and a table of what went wrong where; then all tests once more, with
# examples that were never drawn before.
nightly: $(STAMP)
	@HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -s tests/test_ordeal.py
	@HYPOTHESIS_PROFILE=quick $(BIN)/python $(ALL_TESTS)

# How many small changes to the client and the pipeline the tests notice: see docs/mutation.md. It takes half an hour;
# make mutation MODULES="ledger limits" takes one minute.
mutation: $(STAMP)
	@$(BIN)/python -m pip install --quiet 'mutmut>=3.8,<4'
	@$(BIN)/python benchmarks/mutation.py $(MODULES)

clean:
	rm -rf $(VENV) .tools .tools-bench .bench dist htmlcov understudy-demo .coverage .coverage.* .hypothesis \
		.import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find src tests -name __pycache__ -type d -exec rm -rf {} +
