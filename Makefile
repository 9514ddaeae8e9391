# make demo: the whole pipeline at laptop size; make test: the tests; make lint: style and workflow.
PYTHON ?= python3
CORES ?= $(shell nproc 2>/dev/null || echo 2)
BIN := .venv/bin
export OMP_NUM_THREADS ?= 1

.PHONY: demo test lint clean

demo: .venv/installed
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/snakemake --configfile resources/demo.yaml --cores $(CORES) --quiet rules
	@echo "The report: $(CURDIR)/results-demo/report.html"

test: .venv/installed
	$(BIN)/pytest $(PYTEST_ARGS)

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/snakemake --lint --configfile resources/demo.yaml

# Pinned packages and the project itself; made again when the pins or the declared needs change.
.venv/installed: constraints.txt pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --constraint constraints.txt --editable ".[workflow,test]"
	touch $@

clean:
	rm -rf .venv results-demo .snakemake
