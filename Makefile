# The commands of this project; `make` lists them.
# Nothing here calls sudo: what needs root says so.

# Not PYTHON: that one chooses what .venv, or an installation, is made with.
VENV_PYTHON := .venv/bin/python
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Compiled once and kept: without it, each of the many short commands of a test compiles all that it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --- try it

.PHONY: demo
demo: ## see it work until Ctrl-C, or for DURATION=20 s; FAULT=stall|producer|hazelcast|crash: see it fail
	@scripts/setup.sh demo
	@$(VENV_PYTHON) scripts/demo $(if $(DURATION),--duration $(DURATION)) $(if $(FAULT),--fault $(FAULT))

# --- install it (scripts/install.sh says more)

.PHONY: install uninstall upgrade install-user uninstall-user upgrade-user
install: ## install the services, as root (PREFIX, DESTDIR, SERVICE_USER, PREFECT=no, WHEELS)
	@scripts/install.sh install

upgrade: ## build this version beside the running one, check the config with it, switch; as root
	@scripts/install.sh upgrade

uninstall: ## remove the services, as root; config and state stay unless PURGE=1
	@scripts/install.sh uninstall

install-user: ## the same for `systemctl --user`, without root; also upgrade-user, uninstall-user
	@scripts/install.sh install --user

upgrade-user:
	@scripts/install.sh upgrade --user

uninstall-user:
	@scripts/install.sh uninstall --user

.PHONY: wheels
wheels: ## download what install and upgrade need into WHEELS=DIR, for hosts like this one without a network
	@scripts/install.sh wheels

# --- work on it

.PHONY: setup
setup: ## make .venv and fetch Hazelcast (and a Java if there is none); done by the commands below
	@scripts/setup.sh dev

.PHONY: test
test: ## run all tests but those of test-machine; as root it installs what they need (ARGS="..." goes to pytest)
	@scripts/test.sh $(ARGS)

.PHONY: test-machine
test-machine: ## run the tests in emulated machines, as root: kernel, memory, network folders, power; QUICK=1: minutes
	@WORKERS=0 scripts/test.sh tests/machine $(if $(QUICK),-m quick) $(ARGS)

.PHONY: test-unit
test-unit: setup ## run the quick tests that need neither services nor root
	@PYTHONUTF8=1 $(VENV_PYTHON) -m pytest tests/unit --numprocesses logical --dist loadgroup -m "not exhaustive and not hazelcast and not systemd and not prefect and not browser and not root" $(ARGS)

.PHONY: test-starts
test-starts: setup ## some unit tests started in every way: background, umask, locale, no home, ... (ARGS chooses others)
	@scripts/test-starts.sh $(ARGS)

.PHONY: check
check: setup ## lint, format, types, imports, locks: ruff, mypy --strict, import-linter
	@$(VENV_PYTHON) -m ruff check .
	@$(VENV_PYTHON) -m ruff format --check .
	@$(VENV_PYTHON) -m mypy --strict
	@$(VENV_PYTHON) -m mypy --strict scripts/demo
	@.venv/bin/lint-imports --no-cache
	@$(VENV_PYTHON) scripts/lock.py --check

.PHONY: lock
lock: setup ## write requirements/*.txt anew; UPGRADE="PACKAGE..." or UPGRADE=all takes newer versions
	@scripts/lock.sh $(UPGRADE)

.PHONY: docs
docs: setup ## write docs/configuration.md anew, after a change of the configuration's models
	@$(VENV_PYTHON) scripts/config_reference.py docs/configuration.md

.PHONY: bench
bench: ## measure lag, CPU and memory; QUICK=1 takes two minutes; ONLY="PART..." measures parts
	@scripts/setup.sh bench
	@PYTHONPATH=tests $(VENV_PYTHON) -m bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY))

.PHONY: clean
clean: ## remove what was built here; downloads stay in the cache
	@rm -rf .venv build dist *.egg-info bench-results .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
