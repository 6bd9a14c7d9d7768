# Naru's front door. `make up` and `make test` do all the set-up themselves.
PYTHON ?= python3.11
SERVICES ?=
IMAGES ?=
UPGRADE ?=
BIN := .venv/bin

.DEFAULT_GOAL := help

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

up: ## Install, prepare the models and run everything; SERVICES="gateway sentiment" runs a part
	@$(PYTHON) -m services.local.preflight $(SERVICES)
	@$(PYTHON) -m services.local.install
	@exec $(BIN)/naru up $(SERVICES)

down: ## Stop a stack that runs in the background
	@$(BIN)/naru down

install: ## Install everything, development tools too, into .venv
	@$(PYTHON) -m services.local.install --dev

check: install ## Linters, types, layers, generated files, locks
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m services.local.lock --check
	@$(BIN)/python -m services.common.generate --check
	@$(BIN)/python -m services.observability.generate --check
	@$(BIN)/python -m tests.docs.regenerate --check
	@$(BIN)/python -m tests.chart.check

test: check test-compiled ## All the set-up, the checks, then every test, against the real models
	@for each in redis-server prometheus chromium npm buildah debootstrap; do command -v $$each >/dev/null || \
		echo "no $$each: its tests are skipped; 'apt-get install $$each' runs them"; done
	@$(BIN)/pytest

test-compiled: install ## The gateway's tests on its compiled hot path, as the image runs it
	@if $(BIN)/python -m services.gateway.compiled --check; then \
		$(BIN)/python -m services.gateway.compiled && NARU_COMPILED=$(CURDIR)/build/compiled $(BIN)/pytest tests/gateway; \
	else echo "so the gateway's tests run on bytecode alone"; fi

lock: install ## Make the locks anew after a change of dependencies; UPGRADE=--upgrade takes the newest versions
	@$(BIN)/python -m services.local.lock $(UPGRADE)

generate: install ## Make the code of protos/, dashboards, rules, the chart's schema and the docs' tables anew
	@$(BIN)/python -m services.common.generate
	@$(BIN)/python -m services.observability.generate
	@$(BIN)/python -m tests.docs.regenerate

format: install ## Put the code into its form
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

bench: install ## The gateway beside Envoy, vllm-router and the engine directly; writes docs/benchmarks.md
	@$(BIN)/python -m loadtests.peers
	@$(BIN)/python -m loadtests.bench --output docs/benchmarks.md

images: ## Build the container images with docker or buildah; IMAGES="gateway sentiment" builds a part
	@scripts/images.sh $(IMAGES)

load: install ## Load on the stack that runs here, report in build/load; LOAD="--load knee ChatUser" and the like
	@$(BIN)/python -m loadtests.load $(LOAD)

clean: ## Remove what was installed here; models stay in their cache
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

.PHONY: help up down install check test test-compiled lock generate format bench images load clean
