# Every target sets itself up: the first one makes .venv with the versions of constraints.txt.

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.stamp
TYPES := build/types/spikeloom
# The version of pyright is the one of constraints.txt; it need not ask whether there is a newer one.
export PYRIGHT_PYTHON_IGNORE_WARNINGS = 1

.PHONY: help demo test regress bench tables lint clean

help:
	@echo "make demo     train, generate, simulate and verify a spiking network on the digits (out/demo)"
	@echo "make test     the tests, without the slow ones"
	@echo "make regress  all tests, with ten times as many random designs"
	@echo "make bench    measure; writes benchmarks/results.json and the tables of README.md and docs/"
	@echo "make tables   write the tables again from benchmarks/results.json"
	@echo "make lint     ruff and pyright"
	@echo "make clean    remove what the other targets made"

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  f"Python 3.11 or newer is needed, {sys.executable} is {sys.version.split()[0]}; try: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet -c constraints.txt "$$(grep '^torch==' constraints.txt)"
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

# The packages under the names they are imported by: links, for pyright.
$(TYPES): $(wildcard spikeloom/*.py)
	@rm -rf $@ && mkdir -p $@
	@for path in spikeloom/*.py; do ln -s ../../../$$path $@/; done
	@for folder in hdl gen sim quant; do ln -s ../../../$$folder $@/; done

demo: $(STAMP)
	$(BIN)/spikeloom demo

test: $(STAMP)
	$(BIN)/pytest -n 2 -m "not slow"

regress: $(STAMP)
	$(BIN)/pytest -n 2 --cases 600

bench: $(STAMP)
	$(BIN)/python -m benchmarks.run
	$(BIN)/python -m benchmarks.tables

tables: $(STAMP)
	$(BIN)/python -m benchmarks.tables

lint: $(STAMP) $(TYPES)
	$(BIN)/ruff check
	$(BIN)/pyright

clean:
	rm -rf .venv build out *.egg-info .pytest_cache .ruff_cache .hypothesis
