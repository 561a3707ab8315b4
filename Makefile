# make demo   train on the example data          make check  format, lint, types, build and tests
# make test   build and run every test           make bench  the figures of bench/
# make paper  the paper's experiment and its report, some minutes: build/paper/report.html
# make gpu-test, gpu-bench, gpu-profile  the backend "cuda" on this machine's GPU, see docs/gpu.md
# make flare-poc   provision a server, two sites and an arbiter with certificates on this machine, train and score; then
#                  a wrong certificate, a site that dies, and going on without it being noticed in the result
# make sanitize  the C++ batches under ASan, UBSan and TSan         make fuzz SECONDS=60  every parser
# make wheel  a wheel for Linux in dist, checked by auditwheel, installed and run where there is no compiler
# make kills  kill training runs of each kind, 50 times at random and 50 between operations, and compare what resuming ends with
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find cpp kernels -name '*.cpp' -o -name '*.hpp' -o -name '*.cmake' -o -name '*.cuh' -o -name '*.cu') \
  CMakeLists.txt setup.py pyproject.toml
CPP_FILES := $(shell find cpp kernels tests bench -name '*.cpp' -o -name '*.hpp' -o -name '*.cuh' -o -name '*.cu')

.PHONY: demo paper test check format bench contract flare-poc sanitize fuzz kills wheel clean debian-packages test-packages \
  gpu-test gpu-bench gpu-profile gpu-packages

demo: $(VENV)/.installed
	$(BIN)/python examples/breast_cancer/run.py

# PAPER_OPTIONS="--out DIR" puts the results elsewhere, "--quick" takes seconds.
paper: $(VENV)/.installed
	$(BIN)/python examples/paper/run.py $(PAPER_OPTIONS)

# A process for each processor, each with files of its own.
TEST_OPTIONS ?= -n auto --dist loadfile
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

# The shipped form of the ledger's contract, from its source.
contract: $(VENV)/.installed
	$(BIN)/python -m cipherlane.ledger.compile

flare-poc: $(VENV)/.installed
	$(BIN)/python examples/flare/run.py
	CIPHERLANE_TEST_PROVISIONED=1 $(BIN)/python -m pytest -q tests/federation/test_flare_provisioned.py

# A machine with a GPU may have no network: these take any interpreter with numpy, and set up nothing that is not there.
GPU_PYTHON := $(if $(wildcard $(BIN)/python),$(BIN)/python,$(PYTHON))
gpu-test gpu-bench gpu-profile gpu-packages:
	$(GPU_PYTHON) bench/gpu_suite.py $(subst gpu-,,$@) $(GPU_OPTIONS)

sanitize: $(VENV)/.installed
	$(BIN)/python tests/native/sanitize.py

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
	$(BIN)/python -m pip install --quiet --only-binary openmined-psi --editable '.[align]' \
	  || echo "openmined-psi has no wheel for this machine: tests of aligning ids will be skipped"
	touch $@
