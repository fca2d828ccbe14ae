# Every target sets itself up: the first one makes .venv with the versions of constraints.txt.

SHELL := bash
.SHELLFLAGS := -e -o pipefail -c
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.stamp
TYPES := build/types/spikeloom
# Of 'make mutants': mutants in all, and at once.
COUNT ?= 400
JOBS ?= 2
# Of 'make same': the commit that is compared with, and FULL=1 for all networks, NAMES=1 where names alone may differ.
BASE ?= HEAD
# The version of pyright is the one of constraints.txt; it need not ask whether there is a newer one.
export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1

.PHONY: help demo test regress mutants same bench tables lint types package clean

help:
	@echo "make demo     train, generate, simulate and verify a spiking network on the digits (out/demo)"
	@echo "make test     the tests, without the slow ones"
	@echo "make regress  all tests, with 600 random designs in place of 16"
	@echo "make mutants  400 small wrong versions of the sources, 200 of emitted Verilog: lists those that no test finds"
	@echo "make same     what comes out is the same as with the last commit (BASE=COMMIT for another, FULL=1 for all of it)"
	@echo "make bench    measure; writes benchmarks/results.json and the tables of README.md and docs/"
	@echo "make tables   write the tables again from benchmarks/results.json"
	@echo "make lint     ruff and pyright"
	@echo "make package  wheel and sdist (build/dist), installed into empty environments and used there"
	@echo "make clean    remove what the other targets made"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  f"Python 3.11 or newer is needed, {sys.executable} is {sys.version.split()[0]}; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

# The folders under the names they are imported by, as links, for pyright.
types:
	@rm -rf $(TYPES) && mkdir -p $(TYPES)
	@for path in spikeloom/*; do ln -s ../../../$$path $(TYPES)/; done
	@for folder in hdl gen sim quant; do ln -s ../../../$$folder $(TYPES)/; done

demo: $(STAMP)
	$(BIN)/spikeloom demo

test: $(STAMP)
	$(BIN)/pytest -n 2 --dist loadgroup -m "not slow"

regress: $(STAMP)
	$(BIN)/pytest -n 2 --dist loadgroup --cases 600

mutants: $(STAMP)
	status=0; $(BIN)/python -m tests.mutants --count $(COUNT) --jobs $(JOBS) || status=1; \
	$(BIN)/python -m tests.mutants.verilog || status=1; exit $$status

same: $(STAMP)
	$(BIN)/python -m tests.same --base $(BASE) $(if $(FULL),--full) $(if $(NAMES),--names)

bench: $(STAMP)
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m benchmarks.tables

tables: $(STAMP)
	$(BIN)/python -m benchmarks.tables

lint: $(STAMP) types
	$(BIN)/ruff check
	$(BIN)/pyright | sed 's|/.*/build/types/spikeloom/\([a-z]*/\)|\1|; s|/.*/build/types/|  |'

# Other Pythons are checked where they are on the machine, without PyTorch.
package: $(STAMP)
	$(BIN)/python tests/installed.py 3.12 3.13

clean:
	rm -rf .venv build out *.egg-info .pytest_cache .ruff_cache .hypothesis
