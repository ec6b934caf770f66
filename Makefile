# Every verb does its own set-up in .venv and prints what it runs. Bare `make` lists them.
.DEFAULT_GOAL := help
.PHONY: help demo test check fmt setup setup-dev setup-system parity samples whole evaluate quality pose export verify triton image-test bench bench-compare bench-peers load chaos upgrade soak dist floors docs clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SERVING := $(VENV)/.serving
DEV := $(VENV)/.dev

SOURCE ?= examples/person.png
POSE ?= examples/pose.json
OUT ?= demo.png
STEPS ?= 50
SEED ?= 42
REFERENCE ?= tests/golden
SAMPLES ?=
SIZE ?= s
DATA ?= photos
KEY_POINTS ?= $(DATA)/poses.jsonl
PAIRS ?= 500
PERSONS ?= 200
VARIANT ?= demo
# Of the step for the presets fast and draft; the shipped repository has one.
LOW_PRECISION ?= $(if $(filter demo,$(VARIANT)),int8)
REPOSITORY ?= model_repository
HOST ?=
LOAD ?= poisson
BASE ?= HEAD
# Three processes on what are often two cores: many tests wait more than they compute. A file's tests stay together, as
# they share what they start; files come in the order of tests/conftest.py, in which long ones are first.
PYTEST ?= -n 3 --dist loadfile --no-loadscope-reorder
FLOORS ?= $(PYTEST) tests/api tests/client tests/contract tests/unit tests/integration/test_straight_line.py tests/integration/test_tracing.py

WEIGHT_FILES = $(if $(WEIGHTS),--weights "$(WEIGHTS)") $(if $(VAE),--vae "$(VAE)") $(if $(DINO),--dino "$(DINO)")

help:  ## list the verbs
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-13s %s\n", $$1, $$2}'

demo: $(SERVING)  ## photo + pose -> demo.png over HTTP (SOURCE= POSE= OUT= STEPS= SEED=)
	$(BIN)/python examples/demo.py --source "$(SOURCE)" --pose "$(POSE)" --out "$(OUT)" --steps $(STEPS) --seed $(SEED)

test: $(DEV)  ## every test, after every check
	$(MAKE) check
	$(BIN)/python -m pytest $(PYTEST)

check: $(DEV)  ## format, lint, types, layering: the minute before a commit
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports

fmt: $(DEV)  ## rewrite files in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

setup: $(SERVING)  ## .venv for serving: no torch, no onnx

setup-dev: $(DEV)  ## .venv for everything

setup-system:  ## Debian packages that some tests use (root)
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends chromium libpython3.11 nodejs prometheus redis-server

parity: $(DEV)  ## recompute a folder of golden numbers (REFERENCE=DIR)
	$(BIN)/python -m xmdpt parity --golden "$(REFERENCE)"

samples: $(DEV)  ## pictures of a folder of photos beside the torch reference (SAMPLES=DIR), sheet in build/
	@test -d "$(SAMPLES)" || { echo "make samples SAMPLES=DIR: a folder of <set>/source.png and pose.png"; exit 2; }
	$(BIN)/python -m pytest tests/samples --samples "$(SAMPLES)"

whole: $(DEV)  ## build and serve a whole size from random official files (SIZE=s|b|l): minutes, gigabytes
	$(BIN)/python -m pytest -s tests/whole --size $(SIZE)

evaluate: $(DEV)  ## draw and score the pairs of a data set (DATA= KEY_POINTS=), report in build/evaluation/
	$(BIN)/python -m xmdpt.training evaluate --data "$(DATA)" --key-points "$(KEY_POINTS)" --out build/evaluation

quality: $(DEV)  ## score the shipped graphs on held-out persons (PAIRS= REPOSITORY=), report in build/quality/
	$(BIN)/python -m xmdpt.training quality --repository "$(REPOSITORY)" --pairs $(PAIRS) --out build/quality

pose: $(DEV)  ## how exactly poses are found in photos (PERSONS= SAMPLES=DIR), report in build/pose/
	$(BIN)/python -m xmdpt.pose_estimation evaluate --persons $(PERSONS) $(if $(SAMPLES),--samples "$(SAMPLES)") --out build/pose

export: $(DEV)  ## build and verify a model repository (VARIANT= REPOSITORY= WEIGHTS= VAE= DINO= LOW_PRECISION=)
	$(BIN)/python -m export build --variant $(VARIANT) --out "$(REPOSITORY)" $(WEIGHT_FILES) \
	  $(if $(LOW_PRECISION),--low-precision $(LOW_PRECISION))

verify: $(DEV)  ## compare the graphs of a model repository with torch (REPOSITORY= WEIGHTS= VAE= DINO= VERIFY="--quick")
	$(BIN)/python -m export verify --repository "$(REPOSITORY)" $(WEIGHT_FILES) $(VERIFY)

triton: $(BIN)/python  ## install and start a real Triton on a model repository, CPU (REPOSITORY= TRITON="--http-port 9000")
	$(BIN)/python deploy/triton/server.py install
	$(BIN)/python deploy/triton/server.py run --repository "$(REPOSITORY)" $(TRITON)

image-test: $(DEV)  ## build the images, and run them by compose, in a Docker engine of its own (root, Debian): minutes
	$(BIN)/python -m pytest tests/deployment/image --image

bench: $(DEV)  ## how fast the graphs are, as ratios; report in build/bench/ (BENCH="--only B1", "--page docs/benchmarks.md"; the engine: BENCH=--engine)
	$(BIN)/python -m benchmarks $(BENCH)

bench-compare: $(DEV)  ## the same benchmarks on another commit and here, in turns; report in build/bench-compare/ (BASE=main BENCH="--only B5 B9")
	$(BIN)/python -m benchmarks.compare "$(BASE)" $(BENCH)

bench-peers: $(DEV)  ## our service beside LitServe, BentoML, Triton, Ray Serve and mosec; report in build/bench-peers/ (BENCH="--only litserve", "--page docs/peers.md")
	$(BIN)/python -m benchmarks.peers $(BENCH)

load: $(DEV)  ## load on a service that it starts, or on HOST=, and a report in build/load/ (LOAD="burst cancels --workers 2")
	$(BIN)/python -m loadtests $(LOAD) $(if $(HOST),--host "$(HOST)")

chaos: $(DEV)  ## kill, stop and restart real processes under load; report in build/chaos/ (CHAOS="--minutes 2")
	$(BIN)/python -m tests.chaos $(CHAOS)

upgrade: $(DEV)  ## roll real processes from a commit to this tree under load, and back (BASE=HEAD~10)
	$(BIN)/python -m tests.upgrade --base "$(BASE)"

soak: $(DEV)  ## call the API in every way that its description allows, and in those that it does not; 20 minutes (SOAK="--minutes 2")
	$(BIN)/python -m tests.fuzz $(SOAK)

dist: $(DEV)  ## a wheel with everything that is served, what it needs (CycloneDX) and all licences, in dist/
	rm -rf dist build/lib build/bdist.*
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	rm -rf build/lib build/bdist.*
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --output-file dist/sbom.cdx.json requirements.lock
	$(BIN)/python deploy/licences.py > dist/LICENSES.md
	cp requirements.lock dist/
	cd dist && sha256sum * > SHA256SUMS

floors: dist  ## tests with the lowest versions of dependencies that pyproject.toml allows, in build/floors/ (FLOORS="tests/api")
	rm -rf build/floors
	$(PYTHON) -m venv build/floors
	$(BIN)/python deploy/floors.py dist/*.whl > build/floors/constraints.txt
	build/floors/bin/python -m pip install --quiet --disable-pip-version-check --constraint build/floors/constraints.txt "$$(ls dist/*.whl)[cpu,dev,export,load,train]"
	build/floors/bin/python -m pytest $(FLOORS)

docs: $(DEV)  ## write the generated pages anew
	$(BIN)/xmdpt-serve configuration > docs/configuration.md
	$(BIN)/python -m service.api.documents
	$(BIN)/python -m service.telemetry.metrics_page > docs/metrics.md
	$(BIN)/python -m deploy.grafana.build
	$(BIN)/python -m deploy.kubernetes.prometheus_rule

clean:  ## remove what the verbs have made, .venv included
	rm -rf $(VENV) build dist demo.png demo_sheet.png .data

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Python >= 3.11 is needed: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

$(SERVING): requirements.lock pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# The lock keeps its versions: pip only adds what the extras ask for.
$(DEV): $(SERVING)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[cpu,dev,export,load,train]'
	touch $@
