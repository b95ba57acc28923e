# Environments: .venv for development and tests, .venv-demo for the demo, .venv-bench for the
# benchmarks (with the other clients that they measure), .venv-ecosystem for the tests with
# packages that build on LangChain, .venv-scale for those with Ray and Dask, .venv-docs for the
# website, .venv-lowest and .venv-newest for tests with other versions than those of poetry.lock.
# Poetry has its own environment, .tools, so that its dependencies cannot conflict with those of the
# package.

PIP_VERSION := 26.3
POETRY_VERSION := 2.5.1
POETRY_EXPORT_VERSION := 1.10.1

PYTHON = $(shell for python in python3.11 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
PYTHON_VERSION := $(shell $(PYTHON) -c 'import platform; print(platform.python_version())')
TOOLS := .tools/$(PIP_VERSION)-$(POETRY_VERSION)-$(POETRY_EXPORT_VERSION)
POETRY := POETRY_VIRTUALENVS_CREATE=false .tools/bin/poetry
# The pip in .tools installs into all environments, because older versions of pip take twice as
# long. Modules are not compiled during installation, because most are never imported.
PIP := .tools/bin/pip --disable-pip-version-check
INSTALL := install -qq --no-compile
VENVS := .venv .venv-bench .venv-demo .venv-docs .venv-ecosystem .venv-scale
UNIT_TESTS := -n 2 --disable-socket --allow-unix-socket tests/unit
# FALLBACK_TESTS run once more without the private names of other libraries. VERSION_TESTS depend
# the most on the versions of the dependencies.
FALLBACK_TESTS := $(addprefix tests/integration/test_,call_style_parity.py lifecycle.py)
VERSION_TESTS := $(patsubst %,tests/integration/test_%.py,call_style_parity cancellation errors \
	langchain langgraph lifecycle processes proxies standard streams structured_output sync \
	timeouts tls)
# Prints the lower bound of each package in the list `dependencies` and in the extras of
# pyproject.toml, for example "aiohttp==3.12.7; python_version < '3.14'".
LIST_LOWER_BOUNDS := sed -n "/^dependencies/,/^\[dependency-groups/ \
	s/.*\"\([a-z-]*\)>=\([0-9.]*\)[^;\"]*\(;[^\"]*\)\{0,1\}\".*/\1==\2\3/p" pyproject.toml

export PIP_USER := 0
# Must be unset: otherwise every process compiles the modules again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test test-unit test-lowest test-newest test-browser test-ecosystem test-scale \
	lint format live load bench docs dist lock clean

help: ## Show this list of commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: .venv-demo/ready ## Run a demo of the package; without a key it uses the emulator
	@.venv-demo/bin/python examples/demo.py

# The integration tests run in one process more, because they often wait for a server. The last
# command runs some of them with the public fallbacks for the private names of other libraries.
test: test-unit ## Run the unit tests, then the integration tests
	.venv/bin/pytest -n 3 tests/integration
	CEREBRAS_INFERENCE_PUBLIC_NAMES_ONLY=1 .venv/bin/pytest -n 3 $(FALLBACK_TESTS)

test-unit: .venv/ready ## Run the unit tests, without sockets
	.venv/bin/pytest $(UNIT_TESTS)

test-lowest: $(TOOLS) ## Run most tests with the lowest versions that pyproject.toml allows
	@$(PYTHON) -m venv --clear --without-pip .venv-lowest
	@$(LIST_LOWER_BOUNDS) | tee .venv-lowest/constraints.txt
	$(call resolve_and_test,.venv-lowest,--constraint .venv-lowest/constraints.txt)

test-newest: $(TOOLS) ## Run most tests with the newest versions, whatever poetry.lock says
	@$(PYTHON) -m venv --clear --without-pip .venv-newest
	$(call resolve_and_test,.venv-newest)

test-browser: .venv/ready ## Run Chromium and Firefox: their cookies, and LangServe's playground
	.venv/bin/pytest -m browser tests/integration

test-ecosystem: .venv-ecosystem/ready ## Run the tests with deepagents, MCP and OpenTelemetry
	.venv-ecosystem/bin/pytest tests/ecosystem

test-scale: .venv-scale/ready ## Run processes, Ray and Dask that share a quota; Redis needs redis-server
	.venv-scale/bin/pytest -m scale -s -rs tests/integration/test_quotas.py tests/scale

lint: .venv/linters ## Check format, style, types, workflows and poetry.lock
	$(POETRY) check --lock
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/basedpyright
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv/bin/check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/[!c]*.yml

format: .venv/linters ## Format the code and fix what the linter can fix
	.venv/bin/ruff check --fix-only
	.venv/bin/ruff format

live: .venv/ready ## Run the tests that use the real service; they need a key or cookies
	.venv/bin/pytest -m live tests

load: .venv/ready ## Run the load tests and print their figures; takes a quarter of an hour
	.venv/bin/pytest -m load -s $(addprefix tests/integration/test_,load.py quotas.py batch_command.py langserve_load.py)

bench: .venv-bench/ready ## Measure this package and other clients; takes half an hour
	.venv-bench/bin/python -m benchmarks
	.venv-bench/bin/python -m benchmarks.large

docs: .venv-docs/ready ## Build the documentation as a website in site/
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict

dist: .venv/linters .venv/release ## Build the wheel and the sdist in dist/, and check them
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --pretty=%ct) .venv/bin/python -m build --no-isolation
	.venv/bin/twine check --strict dist/*
	.venv/bin/pytest tests/distribution

lock: $(TOOLS) ## Resolve the dependencies again
	$(POETRY) lock --regenerate

clean: ## Remove everything that was generated
	rm -rf $(VENVS) .venv-lowest .venv-newest .tools .coverage .coverage.* dist htmlcov site
	rm -rf .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# %/python-VERSION: the environment has been created, with this Python. %/locked: the packages of
# poetry.lock are installed. %/ready: the project is installed, too. %/linters: the linters are
# installed. They are separate, because they are as large as all other packages together, and no
# test needs them. %/release: the tools for releases are installed.

.venv/locked: GROUPS := main,build,test
.venv/linters: GROUPS := lint
.venv/release: GROUPS := release
.venv-bench/locked: GROUPS := main,build,bench
.venv-demo/locked: GROUPS := main,build,demo
.venv-docs/locked: GROUPS := main,build,docs
.venv-ecosystem/locked: GROUPS := main,build,test,ecosystem
.venv-scale/locked: GROUPS := main,build,test,scale

$(VENVS:%=%/ready): %/ready: pyproject.toml %/locked
	@$(PIP) --python $* $(INSTALL) --no-build-isolation --no-deps --editable .
	@touch $@

.venv/linters .venv/release: .venv/ready
	$(call install_groups,.venv)
	@touch $@

$(VENVS:%=%/locked): %/locked: %/python-$(PYTHON_VERSION)
	$(call install_groups,$*)
	@touch $@

$(VENVS:%=%/python-$(PYTHON_VERSION)): poetry.lock | $(TOOLS)
	@$(PYTHON) -m venv --clear --without-pip $(@D)
	@touch $@

# Debian's Python may have no ensurepip. Then the system's pip installs pip into the environment.
$(TOOLS):
	@test "$(PYTHON_VERSION)" || { echo "No Python found; 3.11 or newer is needed." >&2; exit 1; }
	@echo "Installing Poetry $(POETRY_VERSION) into .tools; this takes some time, but only once"
	@$(PYTHON) -m venv --clear .tools >/dev/null || { \
		$(PYTHON) -m venv --clear --without-pip .tools && \
		$(PYTHON) -m pip --python .tools install -qq pip; }
	@$(PIP) $(INSTALL) pip==$(PIP_VERSION)
	@$(PIP) $(INSTALL) poetry==$(POETRY_VERSION) poetry-plugin-export==$(POETRY_EXPORT_VERSION)
	@touch $@

define install_groups
@echo "Installing $(GROUPS) from poetry.lock into $(1); this takes some time, but only once"
@$(POETRY) export --quiet --only $(GROUPS) --output $(1)/requirements.txt
@$(PIP) --python $(1) $(INSTALL) --require-hashes --no-deps --requirement $(1)/requirements.txt
endef

define resolve_and_test
@echo "Installing into $(1) without poetry.lock; this takes some time"
@$(PIP) --python $(1) $(INSTALL) $(2) --group test --editable '.[browser,redis]'
$(1)/bin/pytest $(UNIT_TESTS)
$(1)/bin/pytest -n 3 $(VERSION_TESTS)
endef
