# make demo   train on the example data          make check  format, lint, types, build and tests
# make test   build and run every test           make bench  the figures of bench/
# make docs   the documentation as a site: build/docs/index.html
# make paper  the paper's experiment and its report, some minutes: build/paper/report.html
# make gpu-test, gpu-bench, gpu-profile  the backend "cuda" on this machine's GPU, see docs/gpu.md
# make flare-poc   provision a server, two sites and an arbiter with certificates on this machine, train, score and bin; then
#                  a wrong certificate, a site that dies, and going on without it being noticed in the result
# make fate  FATE's hetero algorithms with FATE's Paillier and with ours, in an environment of its own
# make flower  encrypted averaging in Flower's simulation engine and its tests, in an environment of its own: build/flower-venv
# make sanitize  the C++ batches under ASan, UBSan and TSan         make fuzz SECONDS=60  every parser
# make wheel  a wheel for Linux in dist, checked by auditwheel, installed and run where there is no compiler
# make phe-suite  python-paillier's own tests on Cipherlane in its place
# make kills  kill training runs of each kind, 50 times at random and 50 between operations, and compare what resuming ends with
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find cpp kernels -name '*.cpp' -o -name '*.hpp' -o -name '*.cmake' -o -name '*.cuh' -o -name '*.cu') \
  CMakeLists.txt setup.py pyproject.toml
CPP_FILES := $(shell find cpp kernels tests bench -name '*.cpp' -o -name '*.hpp' -o -name '*.cuh' -o -name '*.cu')

.PHONY: demo docs paper test check format bench contract flare-poc fate flower phe-suite sanitize fuzz kills wheel clean \
  debian-packages test-packages gpu-test gpu-bench gpu-profile gpu-packages

demo: $(VENV)/.installed
	$(BIN)/python examples/breast_cancer/run.py

# PAPER_OPTIONS="--out DIR" puts the results elsewhere, "--quick" takes seconds.
paper: $(VENV)/.installed
	$(BIN)/python examples/paper/run.py $(PAPER_OPTIONS)

# A warning is an error.
docs: $(VENV)/.installed
	$(BIN)/python -m sphinx -q -W --keep-going -n docs build/docs
	@echo "build/docs/index.html"

# A process for each processor, each with files of its own.
TEST_OPTIONS ?= -n auto --dist loadfile --no-loadscope-reorder
test: $(VENV)/.installed | test-packages
	$(BIN)/python -m pytest $(TEST_OPTIONS)

check: $(VENV)/.installed
	$(BIN)/clang-format --dry-run --Werror $(CPP_FILES)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy python/cipherlane
	$(BIN)/python -m mypy.stubtest cipherlane._native --mypy-config-file pyproject.toml --allowlist tests/stubtest_allowlist.txt
	$(MAKE) test

format: $(VENV)/.installed
	$(BIN)/clang-format -i $(CPP_FILES)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.installed
	$(BIN)/python bench/paillier.py
	$(BIN)/python bench/mixture.py
	$(BIN)/python bench/logistic.py
	$(BIN)/python bench/ledger.py
	$(BIN)/python bench/binning.py
	$(BIN)/python bench/histograms.py
	$(BIN)/python bench/integrations_phe.py

# The shipped form of the ledger's contract, from its source.
contract: $(VENV)/.installed
	$(BIN)/python -m cipherlane.ledger.compile

flare-poc: $(VENV)/.installed
	$(BIN)/python examples/flare/run.py
	CIPHERLANE_TEST_PROVISIONED=1 $(BIN)/python -m pytest -q tests/federation/test_flare_provisioned.py

# Flower 1.42 needs Python 3.11 or later. Its own environment, for its many packages with narrow ranges of versions.
FLOWER := build/flower-venv
FLOWER_VERSION := 1.42.0
FLOWER_PYTHON := PYTHONPATH=python FLWR_TELEMETRY_ENABLED=0 RAY_USAGE_STATS_ENABLED=0 $(FLOWER)/bin/python
$(FLOWER)/.installed: pyproject.toml | $(VENV)/.installed
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] < (3, 11) and "Flower $(FLOWER_VERSION) needs Python 3.11 or later: make flower PYTHON=python3.11, with a fresh $(VENV)")'
	@echo "Setting up $(FLOWER): Flower $(FLOWER_VERSION), its simulation engine and what they import, 1 GB on disk; this takes minutes."
	test -x $(FLOWER)/bin/python || $(BIN)/python -m venv $(FLOWER)
	$(BIN)/python -c 'import importlib.metadata as m; print(*(r for r in m.requires("cipherlane") if "extra" not in r), sep="\n")' \
	  > $(FLOWER)/requirements.txt
	$(FLOWER)/bin/python -m pip install --quiet 'flwr[simulation]==$(FLOWER_VERSION)' 'pytest>=8' -r $(FLOWER)/requirements.txt
	touch $@

flower: $(FLOWER)/.installed
	$(FLOWER_PYTHON) examples/averaging/flower_run.py
	$(FLOWER_PYTHON) -m pytest -q tests/integrations/test_averaging.py tests/integrations/test_flower.py

# A machine with a GPU may have no network: these take any interpreter with numpy, and set up nothing that is not there.
GPU_PYTHON := $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))
gpu-test gpu-bench gpu-profile gpu-packages:
	$(GPU_PYTHON) bench/gpu_suite.py $(subst gpu-,,$@) $(GPU_OPTIONS)

# FATE needs pydantic 1 and scikit-learn 1.4, which others here cannot live with. FATE_OPTIONS="--key-bits 1024".
FATE_VENV := build/fate-venv
fate: $(FATE_VENV)/.installed
	PYTHONPATH="$(CURDIR)/python" $(FATE_VENV)/bin/python examples/fate/run.py $(FATE_OPTIONS)
	$(BIN)/python -m pytest -q tests/integrations/test_fate.py

$(FATE_VENV)/.installed: examples/fate/requirements.txt | $(VENV)/.installed
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info[:2] > (3, 11) and "FATE has no packages for Python 3.12 and later: make fate PYTHON=python3.11, with a fresh $(VENV)")'
	@echo "Setting up $(FATE_VENV): FATE 2.2.0, PyTorch and what they import, 1.5 GB on disk with a CPU build; this takes minutes."
	test -x $(FATE_VENV)/bin/python || $(BIN)/python -m venv $(FATE_VENV)
	$(FATE_VENV)/bin/python -m pip install --quiet --requirement examples/fate/requirements.txt
	$(FATE_VENV)/bin/python -m pip install --quiet --no-deps pyfate==2.2.0 fate-utils==0.1.0
	touch $@

sanitize: $(VENV)/.installed
	$(BIN)/python tests/native/sanitize.py

# python-paillier's own tests on the stand-in for it, with primes by the package's own search.
phe-suite: $(VENV)/.installed
	CIPHERLANE_TEST_PHE_SUITE=full $(BIN)/python -m pytest -q tests/integrations/test_phe.py -k own_tests

# Each parser for that many seconds; findings are left in build/fuzz.
SECONDS ?= 60
fuzz: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable '.[fuzz]'
	mkdir -p build/fuzz
	cd build/fuzz && ../../$(BIN)/python ../../tests/fuzz/run.py --seconds $(SECONDS)

KILLS ?= 50
kills: $(VENV)/.installed
	CIPHERLANE_TEST_KILLS=$(KILLS) $(BIN)/python -m pytest -q tests/federation/test_kills.py

# WHEEL_OPTIONS="--cuda" has the backend cuda in it, which needs nvcc here and a driver where it is used.
wheel: $(VENV)/.installed
	$(BIN)/python tests/native/build_wheel.py $(WHEEL_OPTIONS)

clean:
	rm -rf $(VENV) build python/cipherlane/*.so python/*.egg-info

# A C++ compiler and Python's venv are all that has to be there; they are installed only where they are missing.
debian-packages:
	@missing=""; \
	command -v c++ >/dev/null 2>&1 || missing="$$missing g++"; \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	$(PYTHON) -c 'import os, sysconfig, sys; sys.exit(not os.path.exists(os.path.join(sysconfig.get_paths()["include"], "Python.h")))' \
	  2>/dev/null || missing="$$missing python3-dev"; \
	if [ -n "$$missing" ]; then \
	  echo "Installing Debian packages that are missing:$$missing"; \
	  if [ "$$(id -u)" = 0 ]; then sudo=""; else sudo="sudo"; fi; \
	  $$sudo apt-get update -q && $$sudo apt-get install -q -y $$missing; \
	fi

# One test of constant time runs under valgrind; without it and without a way to get it, that test says it is skipped.
test-packages:
	@if ! command -v valgrind >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then \
	  echo "Installing Debian packages that are missing: valgrind"; \
	  if [ "$$(id -u)" = 0 ]; then sudo=""; else sudo="sudo"; fi; \
	  $$sudo apt-get update -q && $$sudo apt-get install -q -y valgrind \
	    || echo "valgrind could not be installed: its test will be skipped"; \
	fi

$(VENV)/.installed: $(SOURCES) | debian-packages
	@echo "Setting up $(VENV): packages are downloaded and the native module is compiled; this takes a minute or two, and some more where nvcc compiles for GPUs."
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	$(BIN)/python -c 'import importlib.metadata as m; print(*(r.split(";")[0] for r in m.requires("cipherlane") if "align" in r), sep="\n")' \
	  > $(VENV)/align.txt
	$(BIN)/python -m pip install --quiet --only-binary openmined-psi --requirement $(VENV)/align.txt \
	  || echo "openmined-psi has no wheel for this machine: tests of aligning ids will be skipped"
	touch $@
