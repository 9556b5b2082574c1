# make demo and make test need Python 3.11+ and a package index; everything else goes into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DATA ?= data
# More options for a benchmark, such as BENCH="--sets banking77 --seeds 0".
BENCH ?=
# The versions that are installed; constraints-lowest.txt has the lowest that pyproject.toml allows.
CONSTRAINTS ?= constraints.txt
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(CONSTRAINTS)
# Options for pytest, such as PYTEST_FLAGS="-k card".
PYTEST_FLAGS ?=
PYTEST = $(BIN)/python -m pytest -n 2 --dist worksteal $(PYTEST_FLAGS)
FAST = not slow and not distributed and not browser
CODE = src tests benchmarks examples

.PHONY: demo test test-fast test-exhaustive test-peer fuzz coverage check format docs wheel clean \
	bench-quality bench-train bench-encode bench-batches bench-losses bench-scaling bench-variants bench-label-issues bench-margins bench-time-to-quality \
	bench-setfit bench-semantic-router bench-advice bench-classify bench-serving bench-clusters bench-large-data bench-many-files bench-multi-label bench-nested gpu

demo: $(VENV)/.demo
	$(BIN)/tercet demo --overwrite

test: $(VENV)/.test
	$(PYTEST)

test-fast: $(VENV)/.test
	$(PYTEST) -m "$(FAST)"

# The scripts of tests/peer with both libraries, and the tests of sentence-transformers with the import swapped:
# `make test-peer ST_TESTS=FOLDER`, a checkout of its repository. Without a folder, only the scripts run.
ST_TESTS ?=
test-peer: $(VENV)/.test
	TEST_PEER=1 $(BIN)/python -m pytest tests/peer
	$(BIN)/python -m tests.peer $(if $(ST_TESTS),--checkout $(ST_TESTS)) --output build/peer

coverage: $(VENV)/.test
	$(PYTEST) -m "not distributed and not browser" --cov --cov-report=term:skip-covered

# The losses of several and of nested labels against plain loops, 2,000 random cases.
test-exhaustive: $(VENV)/.test
	TERCET_CASES=2000 $(BIN)/python -m pytest -q tests/losses/test_relations.py

# The fuzzers, for an hour; `make fuzz MINUTES=5` for five minutes.
MINUTES ?= 60
fuzz: $(VENV)/.test
	$(BIN)/python -m tests.fuzz --minutes $(MINUTES)

check: $(VENV)/.check
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell $(CODE) docs dev *.md

format: $(VENV)/.check
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

wheel: $(VENV)/.check
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

# MPNET=folder with all-mpnet-base-v2 measures that model too.
bench-train: $(VENV)/.test
	$(BIN)/python benchmarks/train.py --data $(DATA) $(if $(MPNET),--mpnet $(MPNET)) $(BENCH) --output train.json

bench-encode: $(VENV)/.test
	$(BIN)/python benchmarks/encode.py --data $(DATA) $(BENCH) --output encode.json

bench-quality: $(VENV)/.test
	$(BIN)/python benchmarks/quality.py --data $(DATA) $(if $(MPNET),--mpnet $(MPNET)) $(BENCH) --output quality.json

bench-time-to-quality: $(VENV)/.test
	$(BIN)/python benchmarks/time_to_quality.py --data $(DATA) $(BENCH) --output time_to_quality.json

# SetFit gets a virtual environment of its own. With its defaults it takes hours on a CPU: BENCH="--setfit-steps 1000".
bench-setfit: $(VENV)/.test $(VENV)-setfit/.done
	$(BIN)/python benchmarks/time_to_quality.py --data $(DATA) --setfit $(VENV)-setfit/bin/python $(BENCH) --output time_to_quality.json

bench-classify: $(VENV)/.test
	$(BIN)/python benchmarks/classify.py --data $(DATA) $(BENCH) --output classify.json

# semantic-router gets a virtual environment of its own.
bench-semantic-router: $(VENV)/.test $(VENV)-semantic-router/.done
	$(BIN)/python benchmarks/classify.py --data $(DATA) --parts open --semantic-router $(VENV)-semantic-router/bin/python \
		$(BENCH) --output classify.json

# BENCH="--on encoder" trains the complete encoder, which takes a day.
bench-advice: $(VENV)/.test
	$(BIN)/python benchmarks/advice.py --data $(DATA) $(BENCH) --output advice.json

bench-serving: $(VENV)/.onnx
	$(BIN)/python benchmarks/serving.py --data $(DATA) $(BENCH) --output serving.json

bench-clusters: $(VENV)/.test
	$(BIN)/python benchmarks/clusters.py --data $(DATA) $(BENCH) --output clusters.json

# 10 million rows; BENCH="--rows 1000000" for a million.
bench-large-data: $(VENV)/.test
	$(BIN)/python benchmarks/large_data.py $(BENCH) --output large_data.json

# 1,000 files of 1,000 rows, killed twice; BENCH="--files 40" for fewer.
bench-many-files: $(VENV)/.test
	$(BIN)/python benchmarks/many_files.py $(BENCH) --output many_files.json

bench-multi-label: $(VENV)/.test
	$(BIN)/python benchmarks/multi_label.py --data $(DATA) $(BENCH) --output multi_label.json

bench-scaling: $(VENV)/.test
	$(BIN)/python benchmarks/scaling.py --data $(DATA) $(BENCH) --output scaling.json

bench-variants: $(VENV)/.test
	$(BIN)/python benchmarks/variants.py --data $(DATA) $(BENCH)

bench-label-issues: $(VENV)/.test
	$(BIN)/python benchmarks/label_issues.py --data $(DATA) $(BENCH) --output label_issues.json
	$(BIN)/python benchmarks/without_label_issues.py --data $(DATA) --output without_label_issues.json

bench-margins: $(VENV)/.test
	$(BIN)/python benchmarks/margins.py --data $(DATA) $(BENCH) --output margins.json

bench-nested: $(VENV)/.test
	$(BIN)/python benchmarks/nested.py --data $(DATA) $(BENCH) --output nested.json

bench-losses: $(VENV)/.test
	$(BIN)/python benchmarks/losses.py $(BENCH) --output losses.json

# What a GPU changes, in at most 8 minutes on one GPU. BENCH=--smoke runs it on a CPU with tiny sizes.
gpu: $(VENV)/.test
	$(BIN)/python benchmarks/gpu.py $(BENCH) --output gpu.json

bench-batches: $(VENV)/.test
	$(BIN)/python benchmarks/batches.py $(BENCH)

# torch first: for another build than the index gives, install it into .venv before the first make.
$(VENV)/.base: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Tercet needs Python 3.11 or newer"'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) torch
	touch $@

$(VENV)/.demo: $(VENV)/.base
	$(INSTALL) -e ".[demo]"
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(INSTALL) -e ".[demo,test]"
	touch $@

$(VENV)/.check: $(VENV)/.test
	$(INSTALL) -e ".[demo,test,check]"
	touch $@

$(VENV)/.onnx: $(VENV)/.test
	$(INSTALL) -e ".[demo,test,onnx]"
	touch $@

$(VENV)-setfit/.done: $(VENV)/.test
	$(PYTHON) -m venv $(VENV)-setfit
	$(VENV)-setfit/bin/python -m pip install --quiet --disable-pip-version-check -e . setfit==1.2.0
	touch $@

$(VENV)-semantic-router/.done: $(VENV)/.test
	$(PYTHON) -m venv $(VENV)-semantic-router
	$(VENV)-semantic-router/bin/python -m pip install --quiet --disable-pip-version-check -e . semantic-router==1.1.1
	touch $@

$(VENV)/.docs: $(VENV)/.test
	$(INSTALL) -e ".[demo,test,docs]"
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-setfit $(VENV)-semantic-router dist build tercet-demo tercet-demo-report.html tercet-demo.checkpoints
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .coverage
