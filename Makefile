# One command each: run, test, check. Everything is installed into .venv below this folder.
#
#   make run     install what is missing, then start the whole site; Ctrl-C ends it
#                (another build of PyTorch: make run TORCH='torch==2.13.0+cu130' TORCH_INDEX_URL=…)
#   make test    the whole suite             make check   the quick checks, half a minute
#   make screenshots   every page in every state, three widths, two themes, into screenshots/
#                (SHOTS='job-* studio' for some; screenshots/sheets/ has all six of one side by side)
#   make model   every state a job can get into, and 146 wrong designs, all caught; seconds
#   make chaos   jobs while everything around them dies (CHAOS='--seed 1 --jobs 300 --minutes 15')
#   make kills   thirty kill -9 at random steps of a render (KILLS='--kills 30 --seed 1')
#   make soak    an hour of renders and viewers, and whether anything grows (SOAK='--minutes 60')
#   make load    people, programs and bursts of both at a site, and a report with plots
#                (LOAD='--shape burst --users 40 --minutes 3'; docs/howto/load.md)
#   make upgrade-drill FROM=COMMIT   that commit's parts beside this one's, restarted into it under load
#   make long    what is left out of make test for its time: benchmarks run through, two kills, two sites
#   make fuzz    thousands of requests made up from the API's schema; some minutes
#   make bench   how well the bundled model does, what rendering, claims, checkpoints, the live
#                view, the API and the pages cost; 75 minutes, on an idle machine
#   make images-dry   every step of both Dockerfiles in a folder, with pip's downloads; no daemon
#   make sbom    what this installation is made of, as CycloneDX, into var/sbom.json
#   make audit   known vulnerabilities of it; asks the internet, and fails where it cannot
#   make clean   caches; never your data     make reset   your data, after asking

PYTHON ?= python3
TORCH ?= torch==2.13.0
TORCH_INDEX_URL ?=
export PYTHON TORCH TORCH_INDEX_URL

SHELL := /bin/bash
.NOTPARALLEL:
.DEFAULT_GOAL := run
.PHONY: run setup setup-dev test check model chaos kills soak long load fuzz screenshots bench clean \
	reset sbom audit images-dry upgrade-drill

PY := .venv/bin/python
# mypy's Django plugin reads the settings and connects to nothing; neither do the quick tests.
NO_SERVICES := T2V_SECRET_KEY=check T2V_DATABASE_URL=postgresql://localhost/none \
	T2V_REDIS_URL=redis://localhost

setup:
	@.ci/setup run worker embedded

setup-dev:
	@.ci/setup dev worker embedded load traces dev

run: setup
	@exec $(PY) manage.py up

# Both parts mostly wait, for processes, clocks and time-outs: more of them than cores go at a time.
# In a container that says otherwise, too, what one of some hundred processes has compiled is kept for
# the others: 3 of the 14 s that pytest takes to begin.
test: setup-dev
	@set -o pipefail; unset PYTHONDONTWRITEBYTECODE; mkdir -p .venv/tests; ordinary=0; whole=0; \
	$(PY) -m pytest -n 4 --dist loadfile --no-loadscope-reorder -m 'not (whole or long)' 2>&1 | tee .venv/tests/ordinary.txt || ordinary=$$?; \
	$(PY) -m pytest -n 3 --dist loadscope --no-loadscope-reorder -m 'whole and not long' tests 2>&1 | tee .venv/tests/whole.txt || whole=$$?; \
	result() { grep -E '^=+ .* in [0-9.]+s' "$$1" | tail -n 1; }; \
	echo "make test:"; \
	echo "  ordinary tests  $$(result .venv/tests/ordinary.txt)"; \
	echo "  whole systems   $$(result .venv/tests/whole.txt)"; \
	exit $$((ordinary || whole))

# The types beside the tests: each keeps one core busy.
check: setup-dev
	@$(PY) -m ruff format --check -q .
	@$(PY) -m ruff check -q .
	@$(PY) -c 'from importlinter.cli import lint_imports_command as lint; lint()'
	@mkdir -p .venv/tests; tests=0; types=0; \
	$(NO_SERVICES) $(PY) -m mypy . >.venv/tests/types.txt 2>&1 & checker=$$!; \
	$(NO_SERVICES) $(PY) -m pytest -q -m 'not (whole or long or django_db or services or renders)' \
		--ignore=t2v_site/tests/test_embedded.py --ignore=t2v_site/tests/test_supervisor.py \
		--ignore=t2v_site/tests/test_settings.py --ignore=jobs/tests/test_walk.py \
		--ignore=tests/test_benchmarks.py --ignore=tests/cli --ignore=tests/schema \
		--ignore=jobs/tests/test_images.py --ignore=jobs/tests/test_webhook_sending.py \
		|| tests=$$?; \
	wait $$checker || types=$$?; cat .venv/tests/types.txt; exit $$((tests || types))

model: setup-dev
	@$(PY) -m jobs.tests.walk --mutants

chaos: setup-dev
	@exec $(PY) -m tests.chaos $(CHAOS)

kills: setup-dev
	@exec $(PY) -m tests.kills $(KILLS)

soak: setup-dev
	@exec $(PY) -m tests.soak $(SOAK)

# Exit code 1 where a hard goal was broken: a job lost, an error of 5xx.
load: setup-dev
	@exec $(PY) -m tests.load $(LOAD)

upgrade-drill: setup-dev
	@: $(or $(FROM),$(error FROM=COMMIT is missing: the version that is upgraded from))
	@UPGRADE_FROM=$(FROM) $(PY) -m pytest -n 0 -m whole tests/acceptance/test_rolling.py

long: setup-dev
	@$(PY) -m pytest -n 2 --dist loadscope -m long

fuzz: setup-dev
	@FUZZ_EXAMPLES=100 $(PY) -m pytest -n 2 tests/schema/test_fuzz.py

screenshots: setup-dev
	@$(PY) -m tests.browser.screenshots screenshots $(if $(SHOTS),--only $(SHOTS))

bench:
	@.ci/setup bench worker embedded dev bench
	@$(PY) manage.py nano evaluate --json benchmarks/results/nano.json
	@$(PY) -m benchmarks.rendering
	@$(PY) -m benchmarks.queue
	@$(PY) -m benchmarks.checkpoints
	@$(PY) -m benchmarks.previews
	@$(PY) -m benchmarks.live
	@$(PY) -m benchmarks.api
	@$(PY) -m benchmarks.pages
	@$(PY) -m benchmarks.backup

images-dry: setup-dev
	@$(PY) -m tests.deploy.dockerfile

sbom: setup-dev
	@mkdir -p var
	@$(PY) -W ignore -m cyclonedx_py environment --pyproject pyproject.toml --output-reproducible \
		-o var/sbom.json .venv

# Without --strict a package that the database does not know passes as a safe one.
audit:
	@$(PYTHON) -m pip_audit --strict --disable-pip --no-deps -r constraints.txt

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
