# `make help` lists what there is. Everything sets up what it needs by itself.
.DEFAULT_GOAL := help
SHELL := /bin/bash
BIN := .venv/bin
# A control node has what requirements.txt lists, and not all that the tests need.
PYTHON := $(if $(wildcard $(BIN)/python),$(BIN)/python,python3)
INVENTORIES := inventory/example inventory/local

.PHONY: help
help: ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

.PHONY: setup
setup: ## Install packages and make .venv (done by the others as needed)
	@tests/lab/bootstrap

.PHONY: setup-lab
setup-lab:
	@tests/lab/bootstrap lab

.PHONY: demo
demo: setup ## Play a student's day against the real agents and backend; DEMO=once ends by itself
	@cd tests && ../$(BIN)/python -m lab.demo

.PHONY: test
test: setup-lab ## Run all tests, the demo among them; two at a time where they cannot meet
	$(BIN)/pytest --numprocesses=2 --dist=loadscope

.PHONY: test-long
test-long: setup-lab ## Run the tests that `make test` leaves out: long outages, Ansible on an emulated machine
	$(BIN)/pytest -m long

.PHONY: soak
soak: setup ## Students at work, fault after fault: make soak [MINUTES=30] [SEED=…]
	@cd tests && MINUTES=$(MINUTES) SEED=$(SEED) ../$(BIN)/python -m lab.soak

.PHONY: lint
lint: setup ## Check style, types, YAML, shell scripts, roles and playbooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	shellcheck .ci/image .ci/run tests/lab/bootstrap
	$(BIN)/ansible-lint --profile production --offline playbooks roles
	for inventory in $(INVENTORIES); do \
	    $(BIN)/ansible-playbook --syntax-check --inventory $$inventory $(wildcard playbooks/*.yml) || exit 1; \
	done

.PHONY: release
release: ## Build the archives that the roles install, to dist/
	@$(PYTHON) .ci/release.py

.PHONY: lock
lock: setup ## Lock the releases' dependencies anew, after they changed
	$(BIN)/python .ci/release.py lock

.PHONY: image
image: ## Build the backend's image: make image TAG=20260301-1 [IMAGE=…] [BUILDER=…] [VERSION=…]
	@PYTHON=$(PYTHON) .ci/image

.PHONY: docs
docs: setup ## Write the roles' variables into docs/ansible.md, and docs/faults.md
	$(BIN)/python .ci/role_docs.py
	cd tests && ../$(BIN)/python -m lab.faults_table

.PHONY: format
format: setup ## Bring the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: setup ## Measure the time from a save to its row over REST
	@cd tests && ../$(BIN)/python -m bench.save_to_row

.PHONY: clean
clean: ## Remove what the others made
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache dist
