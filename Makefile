# make demo    environment, data, then one experiment from human-rated sentences to its report
# make test    environment, then the whole fast test suite
#
# PYTHON       the Python to use (3.11 or newer)
# TORCH_INDEX  a wheel index for torch without CUDA, where the default would bring gigabytes of it:
#              make demo TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH_INDEX ?=
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_DATA := icwsm2014-movie icwsm2014-amazon icwsm2014-nyt icwsm2014-tweets
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help env data demo test lint format golden bench bench-grpo screenshots fuzz learns gpu-smoke faults bench-cluster cluster clean

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | head -8

env: $(VENV)/installed

# torch first and by itself: it is the one package whose build depends on where it comes from.
$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt setuptools torch torchvision $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX))
	$(BIN)/pip install --quiet -c constraints.txt --editable '.[runtime,k8s,dev]'
	touch $@

data: env
	$(BIN)/c2f-spec data add $(DEMO_DATA) --fetch

demo: data
	$(BIN)/c2f-spec apply specs/demo.yaml --on local

# A process more than there are cores, because many tests wait for processes of their own; whole files at a time,
# because fixtures of a module are made once.
test: env
	$(BIN)/python -m pytest -n $(shell expr $$(nproc) + 1) --dist loadfile

lint: env
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/zizmor --offline --quiet .
	! command -v actionlint >/dev/null || actionlint

format: env
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

golden: env # after an intended change of output; read the diff
	$(BIN)/python -m pytest --update-golden

bench: env # the quick measurements; what they print goes to tests/bench/README.md
	$(BIN)/python -m tests.bench --write

bench-grpo: env # what a step of training costs, against TRL's own (20 minutes on a quiet machine)
	$(BIN)/python -m tests.bench grpo

screenshots: env # the pages in headless Chromium, kept as pictures in build/screenshots
	C2F_SCREENSHOTS=build/screenshots $(BIN)/python -m pytest tests/report/test_page.py tests/report/test_browser.py

fuzz: env # hostile text by the thousand; the tests run a few hundred
	$(BIN)/python -m tests.fuzz 20000

learns: data # has the demo's model learned, on three seeds? (about a quarter of an hour)
	$(BIN)/python -m tests.bench learns

bench-cluster: env # a thousand Jobs, on the cluster of KUBECONFIG or on a fake one
	$(BIN)/python -m tests.bench cluster

cluster: env # one experiment on a real cluster, from doctor to delete
	$(BIN)/python -m pytest -m cluster tests/cluster

gpu-smoke: data # the first hour on GPUs: real weights (c2f-spec model add), 16 clips; REHEARSE=1 does it on a CPU
	$(BIN)/python -m tests.gpu_smoke $(if $(REHEARSE),--rehearse)

faults: env # kills at random moments, many more than the tests do
	$(BIN)/python -m tests.bench faults
	$(BIN)/python -m tests.bench attempts
	$(BIN)/python -m tests.bench storage_faults
	$(BIN)/python -m tests.bench killed
	$(BIN)/python -m tests.bench driver_faults
	$(BIN)/python -m tests.bench cluster_smoke

clean:
	rm -rf $(VENV) .c2f build *.egg-info
