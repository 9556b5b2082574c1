# make demo and make test need Python 3.11+ and a package index; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= data

.PHONY: demo test check format wheel bench-quality bench-train bench-encode bench-batches bench-losses bench-scaling bench-variants bench-label-issues bench-margins clean

demo: $(VENV)/.demo
	$(BIN)/tercet demo --overwrite

test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist worksteal

check: $(VENV)/.check
	$(BIN)/ruff format --check src tests benchmarks examples
	$(BIN)/ruff check src tests benchmarks examples
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.check
	$(BIN)/ruff format src tests benchmarks examples
	$(BIN)/ruff check --fix src tests benchmarks examples

wheel: $(VENV)/.check
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

# MPNET=folder with all-mpnet-base-v2 measures that model too.
bench-train: $(VENV)/.test
	$(BIN)/python benchmarks/train.py --data $(DATA) $(if $(MPNET),--mpnet $(MPNET)) --output train.json

bench-encode: $(VENV)/.test
	$(BIN)/python benchmarks/encode.py --data $(DATA) --output encode.json

bench-quality: $(VENV)/.test
	$(BIN)/python benchmarks/quality.py --data $(DATA)

bench-scaling: $(VENV)/.test
	$(BIN)/python benchmarks/scaling.py --data $(DATA) --output scaling.json

bench-variants: $(VENV)/.test
	$(BIN)/python benchmarks/variants.py --data $(DATA)

bench-label-issues: $(VENV)/.test
	$(BIN)/python benchmarks/label_issues.py --data $(DATA) --output label_issues.json
	$(BIN)/python benchmarks/without_label_issues.py --data $(DATA) --output without_label_issues.json

bench-margins: $(VENV)/.test
	$(BIN)/python benchmarks/margins.py --data $(DATA) --output margins.json

bench-losses: $(VENV)/.test
	$(BIN)/python benchmarks/losses.py --output losses.json

bench-batches: $(VENV)/.test
	$(BIN)/python benchmarks/batches.py

# torch first: for another build than the index gives, install it into .venv before the first make.
$(VENV)/.base: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Tercet needs Python 3.11 or newer"'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	touch $@

$(VENV)/.demo: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[demo]"
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[demo,test]"
	touch $@

$(VENV)/.check: $(VENV)/.test
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[demo,test,check]"
	touch $@

clean:
	rm -rf $(VENV) dist build tercet-demo tercet-demo-report.html tercet-demo.checkpoints .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
