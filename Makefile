# Marquee needs Python 3.11 or newer, gcc and a package index; everything else is installed into this folder.
PYTHON ?= python3
DATA ?=
ONLY ?=
QUICK ?=
LONG ?=

UV := .tools/bin/uv
RUN := .venv/bin

# Trust the certificates this machine trusts, so that it works behind a company proxy too.
export UV_SYSTEM_CERTS := 1
export OPENBLAS_NUM_THREADS := 1

.DEFAULT_GOAL := help
.PHONY: help run demo test check format bench census compose spark lock clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/run-ready  ## start everything, show a personal list, serve until Ctrl-C (DATA=path or URL for an empty database)
	@exec $(RUN)/marquee run $(if $(DATA),--data "$(DATA)")

demo: .venv/run-ready  ## the same from nothing in a temporary folder, then stop
	@exec $(RUN)/marquee demo $(if $(DATA),--data "$(DATA)")

test: .venv/dev-ready  ## run all tests (needs no service)
	$(RUN)/pytest -n 2 --dist worksteal

check: .venv/dev-ready  ## format, lint, types, import contracts, lock file
	$(RUN)/ruff format --check .
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports
	$(UV) lock --check --quiet

format: .venv/dev-ready  ## mend what can be mended by itself
	$(RUN)/ruff format .
	$(RUN)/ruff check --fix .

bench: .venv/dev-ready  ## measure (ONLY=name, QUICK=1) and write benchmarks/results/latest.json
	$(RUN)/python -m benchmarks.run $(if $(ONLY),--only "$(ONLY)") $(if $(QUICK),--quick)

census: .venv/dev-ready  ## kill everything and count what is left (LONG=1: 100,000 tasks, SEED=... repeats one)
	@$(RUN)/python -m tests.faults.census $(if $(LONG),--long) $(if $(ONLY),--only "$(ONLY)")

compose: .venv/dev-ready  ## drive docker-compose.yaml end to end (needs Docker; some minutes)
	MARQUEE_COMPOSE=1 $(RUN)/pytest -n 0 -s -v tests/e2e/test_compose.py

spark: .venv/dev-ready  ## train on Apache Spark and test it (needs Java 17; installs pyspark)
	$(UV) sync --locked --quiet --group spark
	$(RUN)/pytest -n 0 -v tests/ml_worker/spark

lock: $(UV)  ## bring uv.lock up to date with pyproject.toml
	$(UV) lock

clean:  ## remove the environment; the data of a local stack in .marquee stays
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis benchmarks/results

$(UV):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Marquee needs Python 3.11 or newer; say which with make PYTHON=..."; exit 2; }
	@$(PYTHON) -m venv .tools || { echo "$(PYTHON) cannot make environments; install its venv module (Debian: apt install python3-venv)"; exit 2; }
	@.tools/bin/pip install --quiet --disable-pip-version-check 'uv>=0.13,<0.14'

# Two stamps over one environment: running needs no development tools, and never removes them where they are.
.venv/run-ready: $(UV) uv.lock pyproject.toml
	@$(UV) sync --python $(PYTHON) --locked --quiet --inexact --no-group dev
	@touch $@

.venv/dev-ready: $(UV) uv.lock pyproject.toml
	@$(UV) sync --python $(PYTHON) --locked --quiet
	@touch $@ .venv/run-ready
