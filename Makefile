# .venv is where the work is done; the demo has its own, smaller .venv-demo; whom the
# benchmarks compare with live in .venv-bench; and Poetry lives apart in .tools, because
# its dependencies are not ours.

PIP_VERSION := 26.3
POETRY_VERSION := 2.5.1
EXPORT_VERSION := 1.10.1

PYTHON = $(shell for python in python3.11 python3 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
TOOLS := .tools/$(PIP_VERSION)-$(POETRY_VERSION)-$(EXPORT_VERSION)
POETRY := POETRY_VIRTUALENVS_CREATE=false .tools/bin/poetry
# The pip beside Poetry serves all; older ones take twice as long. What is never imported
# need not be compiled.
PIP := .tools/bin/pip --disable-pip-version-check
INSTALL := install -qq --no-compile
VENVS := .venv .venv-bench .venv-demo

export PIP_USER := 0
# Where this is set, every process would compile anew what was not compiled here.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test test-browser test-scale lint format live load bench lock clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

demo: .venv-demo/ready ## See it work, with no key: the answers come from an emulator
	@.venv-demo/bin/python examples/demo.py

# More at a time than two processors have: what talks to a server often waits for it.
test: .venv/ready ## Run the unit tests, without sockets, then the integration tests
	.venv/bin/pytest -n 2 --disable-socket --allow-unix-socket tests/unit
	.venv/bin/pytest -n 3 tests/integration

test-browser: .venv/ready ## Read what real browsers hold, those that are installed
	.venv/bin/pytest -m browser tests/integration

test-scale: .venv/ready ## Run processes that share a quota; Redis needs redis-server
	.venv/bin/pytest -m scale -s -rs tests/integration/test_quotas.py

lint: .venv/linters ## Check format, style, types and the lock
	$(POETRY) check --lock
	.venv/bin/ruff format --check
	.venv/bin/ruff check
	.venv/bin/mypy
	.venv/bin/basedpyright

format: .venv/linters ## Put the code in order
	.venv/bin/ruff check --fix-only
	.venv/bin/ruff format

live: .venv/ready ## Run the tests that talk to Cerebras; they need a credential
	.venv/bin/pytest -m live tests

load: .venv/ready ## Run much at once, and for long, and print the figures; ten minutes
	.venv/bin/pytest -m load -s tests/integration/test_load.py tests/integration/test_quotas.py

bench: .venv-bench/ready ## Measure against others, side by side; half an hour
	.venv-bench/bin/python -m benchmarks

lock: $(TOOLS) ## Resolve the dependencies anew
	$(POETRY) lock --regenerate

clean: ## Remove everything that was generated
	rm -rf $(VENVS) .tools .coverage .coverage.* dist htmlcov
	rm -rf .benchmarks .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# `locked` stands for what poetry.lock says, `ready` for the project on top of it. The
# linters are as large as all else together, and no test needs them.

.venv/locked: GROUPS := main,build,test
.venv/linters: GROUPS := lint
.venv-bench/locked: GROUPS := main,build,bench
.venv-demo/locked: GROUPS := main,build,demo

$(VENVS:%=%/ready): %/ready: pyproject.toml %/locked
	@$(PIP) --python $* $(INSTALL) --no-build-isolation --no-deps --editable .
	@touch $@

.venv/linters: .venv/ready
	$(call install_groups,.venv)
	@touch $@

$(VENVS:%=%/locked): %/locked: poetry.lock | $(TOOLS)
	@$(PYTHON) -m venv --clear --without-pip $*
	$(call install_groups,$*)
	@touch $@

# Debian's Python may lack ensurepip; then its pip puts a pip into the venv.
$(TOOLS):
	@test "$(PYTHON)" || { echo "No Python found; 3.11 or newer is needed." >&2; exit 1; }
	@echo "Installing Poetry $(POETRY_VERSION) into .tools; this takes a while, once"
	@$(PYTHON) -m venv --clear .tools >/dev/null || { \
		$(PYTHON) -m venv --clear --without-pip .tools && \
		$(PYTHON) -m pip --python .tools install -qq pip; }
	@$(PIP) $(INSTALL) pip==$(PIP_VERSION)
	@$(PIP) $(INSTALL) poetry==$(POETRY_VERSION) poetry-plugin-export==$(EXPORT_VERSION)
	@touch $@

define install_groups
@echo "Installing $(GROUPS) from poetry.lock into $(1); this takes a while, once"
@$(POETRY) export --quiet --only $(GROUPS) --output $(1)/requirements.txt
@$(PIP) --python $(1) $(INSTALL) --require-hashes --no-deps --requirement $(1)/requirements.txt
endef
