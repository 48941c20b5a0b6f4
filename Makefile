# The two commands that matter: `make demo` and `make test`. Both need only a bare Debian 12 and root.
SHELL := /bin/bash
VENV  := .venv/bin

BENCHMARKS := deploy change failover paging exporter wal_push wal_fetch base_backup import_json database

.PHONY: help setup controller demo test bench lint lab-up lab-down lock

help:  ## this text
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | column -t -s "$$(printf '\t')"

setup:  ## bring a bare Debian 12 machine to the point where all else works
	@requirements/setup

controller:  ## the same for what deploys and boots the lab, and not for tests
	@requirements/setup controller

demo: controller  ## boot a fleet, deploy it, archive, back up, restore to a random moment, print the proof
	@$(VENV)/ops lab demo

test: setup lint  ## every test; the lab's, which share one fleet and mostly wait, beside the others
	@$(VENV)/pytest -n 4 --no-loadscope-reorder tests/lab tests/integration tests/unit

bench: setup  ## every benchmark: a no-op deploy of the running lab beside Ansible's, what a change costs a client, WAL beside pgBackRest
	@set -e; for name in $(BENCHMARKS); do $(VENV)/python -m benchmarks.$$name; done

lint: setup  ## ruff, mypy (strict), import contracts, squawk (migrations)
	@$(VENV)/ruff check --quiet && $(VENV)/ruff format --check --quiet && $(VENV)/mypy --no-error-summary && $(VENV)/lint-imports --no-logo >/dev/null || { $(VENV)/lint-imports; exit 1; }
	@$(VENV)/squawk sql/*/[0-9]*.sql >/dev/null || { $(VENV)/squawk sql/*/[0-9]*.sql; exit 1; }
	@echo "lint: clean"

lab-up: controller  ## boot the local fleet
	@$(VENV)/ops lab up

lab-down: controller  ## take it down; nothing is left but the cached base image
	@$(VENV)/ops lab down

lock: setup  ## renew requirements/*.txt: pinned, hashed, without index addresses
	@requirements/lock
