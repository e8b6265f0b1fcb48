# Two commands do all their own set-up: `make demo` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := demo-data
# Options of the benchmark, as in `make bench BENCH=--quick`.
BENCH ?=

.PHONY: help install demo test lint docs bench notebook clean

help:  ## Show this help
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

install: $(VENV)/.installed  ## Make .venv with mr-telemetry and what its tests need

$(VENV)/.installed: setup.cfg pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "mr-telemetry needs Python 3.11 or newer; try: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

demo: install  ## Run a real analysis over sample telemetry blocks
	@test -d $(DEMO)/blocks || $(BIN)/mr-telemetry generate $(DEMO)/blocks --size 40MB --seed 1
	@echo '$$ mr-telemetry run os_distribution $(DEMO)/blocks'
	@$(BIN)/mr-telemetry run os_distribution $(DEMO)/blocks --store $(DEMO)/jobs --report $(DEMO)/report.json
	@echo
	@echo '$$ mr-telemetry run histograms $(DEMO)/blocks -o $(DEMO)/published/'
	@$(BIN)/mr-telemetry run histograms $(DEMO)/blocks -o $(DEMO)/published/ --store $(DEMO)/jobs
	@echo
	@echo '$$ mr-telemetry show $(DEMO)/published'
	@$(BIN)/mr-telemetry show $(DEMO)/published
	@echo
	@echo 'Those are records by operating system, and merged histograms. Where to look next:'
	@echo '  analyses/os_distribution.py                   the analysis that ran'
	@echo '  $(DEMO)/report.json                         what it read, and what not'
	@echo '  $(BIN)/mr-telemetry ls $(DEMO)/blocks  what the sample data holds'
	@echo '  $(BIN)/mr-telemetry new my_analysis      an analysis of your own'
	@echo '  $(BIN)/mr-telemetry serve $(DEMO)/published   the histograms in a browser'
	@echo '  docs/tutorial.ipynb                           a notebook: from nothing to a plot'
	@echo '  docs/published.md                             what is published, and reading it back'
	@echo '  README.md                                     how to go on'

test: install  ## Run every test
	$(BIN)/python -m pytest -n auto

lint: install  ## Check style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

docs: install  ## Build the manual, build/manual/index.html
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/manual

bench: $(VENV)/.with-peers  ## Measure speed beside the decompressor and other tools (an hour)
	$(BIN)/python -m bench.speed $(BENCH)

$(VENV)/.with-peers: $(VENV)/.installed
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --editable '.[bench]'
	@touch $@

notebook: install  ## Run docs/tutorial.ipynb from a clean kernel, and save what comes out
	$(BIN)/python tests/notebooks.py

clean:  ## Remove the environment, the sample data and what is measured with
	rm -rf $(VENV) $(DEMO) bench-data build dist *.egg-info
