# One environment in .venv for everything: `make demo` first, `make test` before a commit.

VENV ?= .venv
PY := $(VENV)/bin/python
PYTHON ?=
DEMO_DIR ?= outcomekpi-demo
export OMP_NUM_THREADS ?= 2

.PHONY: help demo test quick files reproduce notebooks validate bench lint docs reference constraints clean

help: ## Show what there is to do
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.stamp ## Evaluate real patients (medpar) and say where the report is
	@$(VENV)/bin/outcomekpi demo $(DEMO_DIR)

test: $(VENV)/.stamp ## Run the tests and execute every notebook
	OUTCOMEKPI_FAST=1 OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile --nbmake tests notebooks

quick: $(VENV)/.stamp ## Run the tests that take no time (two minutes): before every small step
	OUTCOMEKPI_FAST=1 OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile -m "not slow and not validate" tests

files: $(VENV)/.stamp ## List every module with what it holds (ROOM=tables for one room)
	@$(PY) docs/list_files.py $(ROOM)

reproduce: $(VENV)/.stamp ## Execute every notebook from scratch and compare what it shows
	$(PY) notebooks/build.py --check

notebooks: $(VENV)/.stamp ## Execute every notebook and write it as it comes out
	$(PY) notebooks/build.py

validate: $(VENV)/.stamp ## Run the long statistical studies and write their tables
	$(PY) benchmarks/accuracy.py
	$(PY) benchmarks/sbc.py
	$(PY) benchmarks/engines_agree.py
	$(PY) benchmarks/calibration_coverage.py
	$(PY) benchmarks/calibration_one_center.py
	$(PY) benchmarks/offset_recovery.py
	$(PY) benchmarks/cliffs.py
	$(PY) benchmarks/series_coverage.py
	$(PY) benchmarks/before_after.py
	$(PY) benchmarks/two_groups.py
	$(PY) benchmarks/did_few_clusters.py
	$(PY) benchmarks/selected_panels.py
	$(PY) benchmarks/regression_to_mean.py
	$(PY) benchmarks/selected_units.py
	$(PY) benchmarks/baseline_edge.py
	$(PY) benchmarks/aggregates_coverage.py
	$(PY) benchmarks/stepped_wedge.py
	$(PY) benchmarks/power.py
	$(PY) benchmarks/pilot_ladder.py
	$(PY) benchmarks/review_worlds.py
	$(PY) benchmarks/population_recovery.py
	$(PY) benchmarks/doctor_intervals.py
	$(PY) benchmarks/suppression.py
	$(PY) benchmarks/small_counts.py
	$(PY) benchmarks/mutants.py
	$(PY) benchmarks/medpar_outliers.py
	$(PY) -m pytest -m validate

bench: $(VENV)/.stamp ## Measure speed and memory side by side and write the table
	$(PY) benchmarks/speed.py
	$(PY) benchmarks/commands.py
	$(PY) benchmarks/operating.py
	$(PY) benchmarks/population_speed.py

lint: $(VENV)/.stamp ## Check style, layout and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: $(VENV)/.stamp reference ## Build the documentation as web pages, offline
	$(PY) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "Open docs/_build/html/index.html"

reference: $(VENV)/.stamp ## Write the pages that come from docstrings and headings
	$(PY) docs/write_reference.py

constraints: $(VENV)/.stamp ## Pin the newest versions that fit pyproject.toml
	$(VENV)/bin/uv pip compile -q --upgrade --universal --python-version 3.12 --all-extras \
	  --group dev --no-annotate --no-header pyproject.toml -o constraints.txt

clean: ## Remove the environment and the demo
	rm -rf $(VENV) $(DEMO_DIR)

$(VENV)/.stamp: pyproject.toml constraints.txt .python-version .ci/find-python
	@python=$$(.ci/find-python $(PYTHON)) && \
	echo "Creating $(VENV) with $$python (a minute or two, once)" && \
	{ "$$python" -m venv --clear $(VENV) || \
	  { echo "Python cannot create an environment: install its venv module (on Debian: python3-venv)." >&2; exit 1; }; } && \
	$(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt uv && \
	$(VENV)/bin/uv pip install -q --compile-bytecode --python $(PY) -c constraints.txt \
	  -e '.[examples,nutpie,notebooks]' --group dev && \
	touch $@
