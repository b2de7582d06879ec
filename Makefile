# One command each: run, test, check. Everything is installed into .venv below this folder.
#
#   make run                      install what is missing, then start the whole site
#   make run TORCH='torch==2.13.0+cu130' TORCH_INDEX_URL=https://…   with another build of PyTorch
#   make test                     the whole suite      make check   the quick checks, under 30 s
#   make clean                    caches; never data   make reset   the site's data, after asking

PYTHON ?= python3
TORCH ?= torch==2.13.0
TORCH_INDEX_URL ?=
export TORCH TORCH_INDEX_URL

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.NOTPARALLEL:
.DEFAULT_GOAL := run
.PHONY: run setup setup-dev test check clean reset

PY := .venv/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input -q
# mypy's Django plugin reads the settings and connects to nothing.
NO_SERVICES := T2V_SECRET_KEY=check T2V_DATABASE_URL=postgresql://localhost/none \
	T2V_REDIS_URL=redis://localhost

# Stamps hold what was installed, so a second start does no pip work and a pull that changes
# nothing here neither.
define INSTALL
@umask 022
if ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
	echo "Python 3.11 or newer is needed as $(PYTHON); name another with make PYTHON=…" >&2
	exit 1
fi
if ! $(PY) -m pip --version >/dev/null 2>&1; then
	echo "Making .venv …"
	if ! "$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null; then
		echo "Python's venv is missing (on Debian: apt-get install python3-venv)." >&2
		exit 1
	fi
	"$(PYTHON)" -m venv --clear .venv
fi
stamp=.venv/torch.stamp want="$$TORCH $$TORCH_INDEX_URL"
if [ "$$want" != "$$(cat $$stamp 2>/dev/null)" ]; then
	echo "Installing PyTorch ($$TORCH); the first time this takes minutes …"
	$(PIP) install $${TORCH_INDEX_URL:+--index-url "$$TORCH_INDEX_URL"} "$$TORCH"
	printf '%s\n' "$$want" >$$stamp
fi
stamp=.venv/$(1).stamp want="$$(cksum pyproject.toml constraints.txt Makefile)"
if [ "$$want" != "$$(cat $$stamp 2>/dev/null)" ]; then
	echo "Installing the other dependencies ($(1)) …"
	$(PY) -c "$$REQUIREMENTS" $(2) >.venv/$(1).txt
	$(PIP) install -c constraints.txt -r .venv/$(1).txt
	printf '%s\n' "$$want" >$$stamp
fi
endef

# The code runs from the checkout, so only its dependencies are installed.
define REQUIREMENTS
import sys, tomllib
project = tomllib.load(open("pyproject.toml", "rb"))["project"]
extras = project["optional-dependencies"]
print(*project["dependencies"], *(line for name in sys.argv[1:] for line in extras[name]), sep="\n")
endef
export REQUIREMENTS

setup:
	$(call INSTALL,run,worker embedded)

setup-dev:
	$(call INSTALL,dev,worker embedded dev)

run: setup
	@exec $(PY) manage.py up

test: setup-dev
	@mkdir -p .venv/tests
	ordinary=0 whole=0
	$(PY) -m pytest -n 2 -m 'not whole' 2>&1 | tee .venv/tests/ordinary.txt || ordinary=$$?
	$(PY) -m pytest -m whole 2>&1 | tee .venv/tests/whole.txt || whole=$$?
	echo "make test:"
	echo "  ordinary tests  $$(tail -n 1 .venv/tests/ordinary.txt)"
	echo "  whole systems   $$(tail -n 1 .venv/tests/whole.txt)"
	exit $$((ordinary || whole))

check: setup-dev
	@$(PY) -m ruff format --check -q .
	$(PY) -m ruff check -q .
	$(NO_SERVICES) $(PY) -m mypy .
	$(PY) -c 'from importlinter.cli import lint_imports_command as lint; lint()'
	$(NO_SERVICES) $(PY) -m pytest -q -m 'not whole and not django_db' \
		--ignore=t2v_site/tests/test_embedded.py --ignore=t2v_site/tests/test_supervisor.py

clean:
	@rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
	echo "Caches are gone. The site's data (var/) and .venv are still there; make reset deletes var/."

reset:
	@if [ ! -e var ]; then echo "There is no var/, so nothing to delete."; exit 0; fi
	printf 'Delete var/ with its database, its videos and its passwords? Type yes: '
	read -r answer
	if [ "$$answer" != yes ]; then echo "Nothing was deleted."; exit 1; fi
	if [ -x $(PY) ]; then
		env -u T2V_VAR $(PY) -c 'from t2v_site import embedded; embedded.stop()'
	fi
	rm -rf var
	echo "var/ is deleted; the next make run starts with new data."
