# The contributor's door: each target makes what it needs, and needs no other run before it.
#
#   make demo ARGS=--once     try the product
#   make test                 all tests (real OpenSearch nodes want Java and Maven)
#   make check                format, lint, types
#   make bench                speed beside others, writes docs/benchmarks.md; ARGS=--quick
#   make quality              measure the order on judged collections, DATA=FOLDER
#   make install              only the environment, .venv
#
# CPU-only torch (200 MB instead of several GB of CUDA libraries on Linux):
#   make install TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH_INDEX ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: install demo test check format lock bench quality

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	@echo "Installing Python packages into $(VENV) (a few minutes the first time)"
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt --index-url $(TORCH_INDEX) torch)
	$(BIN)/python -m pip install --quiet -c constraints.txt --group dev -e ".[demo,onnx]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/sidecar demo $(ARGS)

test: $(STAMP)
	$(BIN)/python -m pytest $(ARGS)

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Measures speed side by side with others (ARGS=--quick; ARGS='--only models,relay').
bench: $(STAMP)
	$(BIN)/python -m benchmarks $(ARGS)

# Measures the order on judged collections (DATA=FOLDER), and writes docs/quality.md.
DATA ?= ../shared/data
quality: $(STAMP)
	$(BIN)/python benchmarks/quality.py --data $(DATA) $(ARGS)

# Renews constraints.txt from what a fresh environment resolves today.
lock:
	$(BIN)/python tools/lock.py > constraints.txt.new
	mv constraints.txt.new constraints.txt
