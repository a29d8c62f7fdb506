# Everything starts from nothing: `make demo` and `make test` make the environment, install, build, then run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export MPLBACKEND := Agg
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test check bench bench-flair reproduce services docs clean install sanitize fuzz test-arm

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt CMakeLists.txt $(shell find csrc -type f 2>/dev/null)
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt "torch==2.13.0"
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt \
		scikit-build-core nanobind cmake ninja
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt \
		pytest hypothesis pytest-timeout pytest-xdist pandas psutil ruff mypy sphinx myst-parser
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e ".[all]"
	touch $@

demo: $(STAMP)
	$(BIN)/recurra demo

test: $(STAMP)
	$(BIN)/python -m pytest -n auto --dist loadfile

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sphinx-build -q -W -E docs build/docs
	PYTHON=$(CURDIR)/$(BIN)/python bash csrc/tests/sanitize.sh

docs: $(STAMP)
	$(BIN)/sphinx-build -W docs build/docs

sanitize: $(STAMP)
	RECURRA_SANITIZE_ALL=1 PYTHON=$(CURDIR)/$(BIN)/python bash csrc/tests/sanitize.sh

fuzz: $(STAMP)
	PYTHON=$(CURDIR)/$(BIN)/python bash csrc/tests/fuzz.sh

test-arm: $(STAMP)
	PYTHON=$(CURDIR)/$(BIN)/python bash csrc/tests/arm.sh

bench: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt openvino keras jax
	$(BIN)/recurra bench kernels

# Flair asks for older versions of two libraries than the pinned ones, so it gets an environment of its own.
FLAIR := .venv-flair

bench-flair: $(FLAIR)/.installed
	$(FLAIR)/bin/python -m pytest -q tests/runtime/test_bench_flair.py
	@echo "Flair gives the same answers; now: $(FLAIR)/bin/recurra bench MODEL DATA --for training, or throughput"

$(FLAIR)/.installed: pyproject.toml constraints-flair.txt CMakeLists.txt $(shell find csrc -type f 2>/dev/null)
	test -d $(FLAIR) || $(PYTHON) -m venv $(FLAIR)
	$(FLAIR)/bin/pip install --quiet --disable-pip-version-check -c constraints-flair.txt \
		"torch==2.13.0" scikit-build-core nanobind cmake ninja pytest hypothesis pytest-timeout
	$(FLAIR)/bin/pip install --quiet --disable-pip-version-check -c constraints-flair.txt --no-build-isolation \
		-e ".[train,onnx]" "flair==0.15.1"
	touch $@

reproduce: $(STAMP)
	$(BIN)/python benchmarks/reproduce.py

services:
	apt-get update -qq
	apt-get install -y -qq chromium chromium-driver

clean:
	rm -rf build dist $(VENV) $(FLAIR) src/recurra/_native*.so
