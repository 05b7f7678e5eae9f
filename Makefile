# The verbs of this project. Each does what it needs first, so `make serve` works in a fresh clone.
# ARGS is handed on:  make serve ARGS="--port 9000"   make test ARGS="-k lease"

.DEFAULT_GOAL := help
.PHONY: help setup setup-node setup-system serve check test test-slow fuzz bench lock clean

ARGS ?=
BIN  := .venv/bin
NODE := tests/interop/node_modules

# python3.11 if there is one, else python3 if it is new enough; looked up only when a recipe asks.
PYTHON ?= $(shell for p in python3.11 python3; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; break; }; done)
PIP    := $(BIN)/python -m pip --disable-pip-version-check
LOCK   := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options $(UPGRADE)

help:  ## says this
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1|/p' Makefile | while IFS='|' read -r verb does; do \
		printf '  make %-13s %s\n' "$$verb" "$$does"; done

setup: .venv/up-to-date  ## makes .venv with every locked package and Towpath itself

.venv/up-to-date: requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "Towpath needs Python 3.11 or newer, as python3.11 or python3 on the PATH (or PYTHON=...)." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	$(PIP) install --quiet --no-build-isolation --no-deps --editable .
	@touch $@

setup-node: $(NODE)/.up-to-date  ## installs the JavaScript clients and servers that we test against

$(NODE)/.up-to-date: tests/interop/package.json tests/interop/package-lock.json
	@if command -v npm >/dev/null; then cd tests/interop && npm ci --silent && touch node_modules/.up-to-date; \
	else echo "==> npm is missing: tests against JavaScript clients will be skipped." >&2; fi

# program:package, as Debian names it
SYSTEM := chromium:chromium curl:curl mkfs.xfs:xfsprogs mkfs.ext4:e2fsprogs npm:npm zstd:zstd

setup-system:  ## installs the programs that tests start, where apt and root are at hand
	@missing=; for pair in $(SYSTEM); do PATH="$$PATH:/usr/sbin:/sbin" command -v "$${pair%%:*}" >/dev/null \
		|| missing="$$missing $${pair##*:}"; done; \
	test -z "$$missing" && exit 0; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; } >&2 \
		&& exit 0; fi; \
	echo "==> Missing:$$missing. Tests that start these programs will be skipped or fail." >&2

serve: setup  ## starts a server on this machine
	$(BIN)/towpath serve $(ARGS)

check: setup  ## style, types, layers, budgets: all that needs no running
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy src tests bench
	$(BIN)/lint-imports --no-logo
	$(BIN)/python -m pytest -q tests/tidy

# Tests that share no machine-wide thing and measure nothing: several processes run them at once,
# in this order, so that the longest files are not the last ones. Many tests wait for what is to come,
# so there is one process more than there are processors.
APART := $(wildcard $(addprefix tests/,testing docs cli client codec core e2e engine fuzz interop ledger protocol store uds3 web))
CROWD  := -n $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )) --maxprocesses 4 --dist loadfile --no-loadscope-reorder
PYTEST := $(BIN)/python -m pytest -m "not slow" --ignore=tests/tidy

test: setup setup-system setup-node check  ## check, then the fast tier of the tests
ifneq ($(findstring tests/,$(ARGS)),)
	$(PYTEST) $(ARGS)
else
	@failed=; set -x; \
	$(PYTEST) $(CROWD) $(APART) $(ARGS) || [ $$? = 5 ] || failed=1; \
	$(PYTEST) $(addprefix --ignore=,$(APART)) $(ARGS) || [ $$? = 5 ] || failed=1; \
	exit $${failed:-0}
endif

test-slow: setup setup-system setup-node  ## the full counts; a run that was stopped goes on where it was
	$(BIN)/python tests/slow.py $(ARGS)

fuzz: build/fuzz/up-to-date  ## fuzzes the readers of requests by coverage; ARGS=-max_total_time=3600
	build/fuzz/bin/python tests/fuzz/run.py $(ARGS)

build/fuzz/up-to-date: requirements/fuzz.txt
	$(PYTHON) -m venv build/fuzz
	build/fuzz/bin/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/fuzz.txt
	@touch $@

bench: setup  ## measures; ARGS names what
	$(BIN)/python -m bench $(ARGS)

lock: setup  ## writes requirements/*.txt anew; UPGRADE=--upgrade takes the newest versions
	$(LOCK) --output-file=requirements/run.txt pyproject.toml
	$(LOCK) --output-file=requirements/dev.txt requirements/dev.in
	$(LOCK) --output-file=requirements/fuzz.txt requirements/fuzz.in
	cd tests/interop && npm install --package-lock-only --silent

clean:  ## removes what the verbs above have made
	rm -rf .venv $(NODE) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
