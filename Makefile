# One command each: run, test, check. Everything is installed into .venv below this folder.
#
#   make run     install what is missing, then start the whole site; Ctrl-C ends it
#                (another build of PyTorch: make run TORCH='torch==2.13.0+cu130' TORCH_INDEX_URL=…)
#   make test    the whole suite             make check   the quick checks, under 30 s
#   make screenshots   every page as a picture, into screenshots/
#   make model   every state a job can get into, and 146 wrong designs, all caught; seconds
#   make chaos   jobs while everything around them dies (CHAOS='--seed 1 --jobs 300 --minutes 15')
#   make kills   thirty kill -9 at random steps of a render (KILLS='--kills 30 --seed 1')
#   make bench   how well the bundled model does, what rendering, claims and checkpoints cost;
#                half an hour, on an idle machine
#   make clean   caches; never your data     make reset   your data, after asking

PYTHON ?= python3
TORCH ?= torch==2.13.0
TORCH_INDEX_URL ?=
export PYTHON TORCH TORCH_INDEX_URL

SHELL := /bin/bash
.NOTPARALLEL:
.DEFAULT_GOAL := run
.PHONY: run setup setup-dev test check model chaos kills screenshots bench clean reset

PY := .venv/bin/python
# mypy's Django plugin reads the settings and connects to nothing; neither do the quick tests.
NO_SERVICES := T2V_SECRET_KEY=check T2V_DATABASE_URL=postgresql://localhost/none \
	T2V_REDIS_URL=redis://localhost

setup:
	@.ci/setup run worker embedded

setup-dev:
	@.ci/setup dev worker embedded dev

run: setup
	@exec $(PY) manage.py up

test: setup-dev
	@set -o pipefail; mkdir -p .venv/tests; ordinary=0; whole=0; \
	$(PY) -m pytest -n 2 -m 'not whole' 2>&1 | tee .venv/tests/ordinary.txt || ordinary=$$?; \
	$(PY) -m pytest -m whole 2>&1 | tee .venv/tests/whole.txt || whole=$$?; \
	echo "make test:"; \
	echo "  ordinary tests  $$(tail -n 1 .venv/tests/ordinary.txt)"; \
	echo "  whole systems   $$(tail -n 1 .venv/tests/whole.txt)"; \
	exit $$((ordinary || whole))

check: setup-dev
	@$(PY) -m ruff format --check -q .
	@$(PY) -m ruff check -q .
	@$(NO_SERVICES) $(PY) -m mypy .
	@$(PY) -c 'from importlinter.cli import lint_imports_command as lint; lint()'
	@$(NO_SERVICES) $(PY) -m pytest -q -m 'not (whole or django_db or services or renders)' \
		--ignore=t2v_site/tests/test_embedded.py --ignore=t2v_site/tests/test_supervisor.py \
		--ignore=jobs/tests/test_walk.py \
		--ignore=tests/test_benchmarks.py

model: setup-dev
	@$(PY) -m jobs.tests.walk --mutants

chaos: setup-dev
	@exec $(PY) -m tests.chaos $(CHAOS)

kills: setup-dev
	@exec $(PY) -m tests.kills $(KILLS)

screenshots: setup-dev
	@$(PY) -m tests.browser.screenshots screenshots

bench:
	@.ci/setup bench worker embedded dev bench
	@$(PY) manage.py nano evaluate --json benchmarks/results/nano.json
	@$(PY) -m benchmarks.rendering
	@$(PY) -m benchmarks.queue
	@$(PY) -m benchmarks.checkpoints

clean:
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build
	@find . -path ./.venv -prune -o -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Caches are gone. Your data (var/) and .venv are still there; make reset deletes var/."

reset:
	@if [ ! -e var ]; then echo "There is no var/, so nothing to delete."; exit 0; fi; \
	printf 'Delete var/ with its database, its videos and its passwords? Type yes: '; \
	read -r answer; \
	if [ "$$answer" != yes ]; then echo "Nothing was deleted."; exit 1; fi; \
	if [ -x $(PY) ]; then \
		for used in var var/test; do \
			T2V_VAR=$$used $(PY) -c 'from t2v_site import embedded; embedded.stop()' || exit 1; \
		done; \
	fi; \
	rm -rf var; \
	echo "var/ is deleted; the next make run starts with new data."
