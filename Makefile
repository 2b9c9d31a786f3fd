# Two commands on a fresh machine: `make test` and `make demo`. Both make .venv themselves.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
BENCHMARKS := analyse crawl curate degrade explore formats identities networks stream

PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.PHONY: demo docs test quick durations lint imports bench fuzz soak audit gpu install clean

demo: $(INSTALLED)
	rm -rf demo
	$(BIN)/facerefs demo demo

test: $(INSTALLED)
	$(PYTEST)

# Between two edits: without Ray, and without what takes longer than half a second (tests/durations.py).
quick: $(INSTALLED)
	$(BIN)/ruff check --quiet .
	$(PYTEST) --quick

# On a quiet machine: notes what takes long, for `quick` and for the order of `test`.
durations: $(INSTALLED)
	$(PYTEST) --note-durations

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(MAKE) --no-print-directory imports

# import-linter follows no links, and `facerefs/` is made of them: it gets a copy.
imports: $(INSTALLED)
	rm -rf build/imports && mkdir -p build/imports && cp -RL facerefs build/imports/
	cd build/imports && $(CURDIR)/$(BIN)/lint-imports --no-logo --config $(CURDIR)/pyproject.toml

bench: $(INSTALLED)
	for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name || exit 1; done

# Kills commands at random moments, and compares what they leave after another run: some 20 minutes.
soak: $(INSTALLED)
	$(BIN)/python -m tests.faults.soak

# Some minutes for each million of changed inputs; what it finds lies in build/fuzz/.
fuzz: $(INSTALLED)
	$(BIN)/python -m tests.fuzz

# Known faults of the packages that we install, and of our own code.
audit: $(INSTALLED)
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive facerefs/pipeline/ facerefs/stages/ facerefs/schemas/ facerefs/trainers/
	$(BIN)/pip-audit --requirement constraints.txt --no-deps --disable-pip --progress-spinner off

# On a machine with an NVIDIA GPU, in less than 9 minutes.
gpu: $(INSTALLED)
	$(BIN)/python -m benchmarks.gpu

# The site of docs/, in build/site. A link that leads nowhere ends it, but not with --quiet: that hides the warnings
# which --strict counts.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
		(echo "facerefs wants Python 3.11 or 3.12 (basicsr does not build on 3.13): make PYTHON=python3.12 ..."; exit 1)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@# Its model file is all that we read; what it depends on wants a compiler.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --constraint constraints.txt brisque
	touch $@

clean:
	rm -rf .venv demo build *.egg-info
