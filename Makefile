# DeployX. `make run` and `make test` are all it takes; `make help` lists the rest.

PYTHON ?= python3
VENV_PYTHON := .venv/bin/python
SETUP := @$(PYTHON) tools/setup.py

.DEFAULT_GOAL := help
.PHONY: help setup run demo cluster dev test check bench soak wheels lock screenshots clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: ## install everything into .venv and build the dashboard; what is done already is not done again
	$(SETUP)

run: ## set up, start the server and this machine's agent, and say how to sign in; Ctrl-C ends both
	$(SETUP)
	@$(VENV_PYTHON) tools/run.py

demo: ## a server with simulated devices (DEVICES=200) to look at, on data of its own; Ctrl-C ends and forgets it
	$(SETUP)
	@$(VENV_PYTHON) tools/demo.py $(DEVICES)

cluster: ## PostgreSQL, two servers and nginx on this machine, on data of their own; by apt when root and missing
	$(SETUP)
	@$(VENV_PYTHON) tools/cluster.py

dev: ## server and dashboard with reload on both sides, and this machine's agent
	$(SETUP) --tests
	@$(VENV_PYTHON) tools/dev.py

test: ## lint, types, import rules and every test; PostgreSQL and Chromium by apt when root and missing
	$(SETUP) --tests --system
	@$(VENV_PYTHON) tools/suite.py test

check: ## lint, types, import rules and generated documents only
	$(SETUP) --tests
	@$(VENV_PYTHON) tools/suite.py check

bench: ## run each benchmark, one after another
	$(SETUP) --tests --system
	@$(VENV_PYTHON) tools/bench.py

soak: ## the tests that run for a long time
	$(SETUP) --tests --system
	@$(VENV_PYTHON) -m pytest -m soak --timeout 0

wheels: ## what other machines need, in dist/: the agent's wheels with their install.sh, the server's
	$(SETUP)
	@$(VENV_PYTHON) tools/wheels.py

lock: ## resolve the dependencies again and write requirements/*.txt
	$(SETUP) --tests
	@$(VENV_PYTHON) tools/lock.py

screenshots: ## take the README's pictures of a server and agents that run for it
	$(SETUP) --tests --system
	@$(VENV_PYTHON) tools/screenshots.py

clean: ## remove what set-up, builds and tests left; .deployx/ (your data) stays
	rm -rf .venv .setup .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache test-results
	rm -rf frontend/node_modules frontend/dist dist benchmarks/results
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
