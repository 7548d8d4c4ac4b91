# The commands, the same on a laptop and in CI. Each sets up what it needs.
VENV   ?= .venv
EXTRA  ?= $(if $(shell command -v nvidia-smi),gpu,cpu)
PYTHON ?= python3
BIN    := $(VENV)/bin
ARGS   ?=
SUDO   ?= $(if $(filter 0,$(shell id -u)),,sudo --non-interactive)
CONFIG ?= configs/demo.yaml
# More processes than that wait for one another's imports. They share the tests out as they come free.
PARALLEL ?= --numprocesses logical --maxprocesses 8 --dist worksteal
# They share the cores; a cluster of the other levels has them to itself.
WITHOUT_RAY := tests/unit tests/graph tests/faults/alone

# Without bytecode on disk pytest rewrites every test file anew, and each process of the live level compiles ours.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install web test-web check format test test-packages test-unit test-gpu demo run bench bench-soak bench-scaling bench-embedding bench-embedding-clients bench-retrieval bench-sweep bench-sweep-peers bench-statistics bench-lab models-train models-eval clean

install: $(VENV)/.installed web  ## a virtual environment with pinned versions, and the pages

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$(EXTRA),llama-cpp,postgresql,training,test,dev]"
	@touch $@

WEB_SOURCES := $(shell find web -type f -not -path 'web/node_modules/*' -not -path 'web/dist/*')

web:  ## the pages under /ui/, checked and built; where there is no npm, the server works without them
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory web/dist/index.html; \
	else echo "npm is not here: the pages under /ui/ are not built; all else works (Node.js 20.19 or newer builds them)"; fi

web/node_modules/.installed: web/package.json web/package-lock.json web/.npmrc
	cd web && npm ci --silent
	@touch $@

web/dist/index.html: web/node_modules/.installed $(WEB_SOURCES)
	cd web && npm run --silent build
	@touch $@

test-web: web  ## the logic of the pages, without a browser
	@if command -v npm >/dev/null; then cd web && npm run --silent test; fi

check: install  ## format, lint, types, import direction
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: install test-packages  ## unit, browser, faults, graph and live levels, and the pages' own; real vLLM on the built-in models
	@status=0; $(MAKE) --no-print-directory test-web || status=$$?; \
	$(BIN)/python -m pytest $(WITHOUT_RAY) $(PARALLEL) $(ARGS) || status=$$?; \
	$(BIN)/python -m pytest $(addprefix --ignore ,$(WITHOUT_RAY)) $(ARGS) || status=$$?; exit $$status

test-packages:  ## what tests need beside Python; where it can't be installed, its tests say so and are skipped
	@command -v redis-server >/dev/null || $(SUDO) apt-get install --yes --quiet --no-install-recommends redis-server \
	  || echo "redis-server cannot be installed here: the tests that need it will be skipped"
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
	  || $(SUDO) apt-get install --yes --quiet --no-install-recommends postgresql \
	  || echo "postgresql cannot be installed here: the tests that need it will be skipped"
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || $(SUDO) apt-get install --yes --quiet --no-install-recommends chromium \
	  || echo "chromium cannot be installed here: the tests that need it will be skipped"

test-unit: install  ## no Ray
	$(BIN)/python -m pytest tests/unit $(PARALLEL) $(ARGS)

test-gpu: install  ## configs/gpu-node.yaml's engine settings on CUDA; says so where there is none
	$(BIN)/python -m pytest tests/gpu $(ARGS)

demo: install  ## start, ingest, ask, chat, sweep, report; ARGS=--exit stops afterwards
	$(BIN)/heliostat demo $(ARGS)

run: install  ## serve CONFIG until Ctrl-C
	$(BIN)/heliostat up $(CONFIG) $(ARGS)

bench: install  ## against `vllm serve`, LiteLLM and Ray Serve LLM, each in the same run as ours
	$(BIN)/python benchmarks/gateway.py $(ARGS)

bench-soak: install  ## 1,000 streams at once, 50,000 requests: what is lost, what stays in memory
	$(BIN)/python benchmarks/soak.py $(ARGS)

bench-scaling: install  ## replicas under a load step, one of them killed, and what affine routing is worth
	$(BIN)/python benchmarks/scaling.py --svg docs/scaling.svg $(ARGS)
	$(BIN)/python benchmarks/affinity.py

bench-embedding: install  ## the embedder against sentence-transformers' encode, ingest against LlamaIndex's
	$(BIN)/python benchmarks/embedding.py $(ARGS)

bench-embedding-clients: install  ## 256 clients with a text each, against one batched call
	$(BIN)/python benchmarks/embedding_clients.py $(ARGS)

DATASET ?= ../shared/data/cisi

bench-retrieval: install  ## search among 100,000 chunks: latency, and recall of exact search; DATASET is a BEIR folder
	$(BIN)/python benchmarks/retrieval.py $(DATASET) $(ARGS)

bench-sweep: install  ## what the runner costs a cell, and its memory over 100,000 cells, without any model
	$(BIN)/python benchmarks/sweep.py overhead $(ARGS)

bench-sweep-peers: install  ## sweeps against vLLM's offline batch and promptfoo, beside people, and how soon they are told of
	$(BIN)/python benchmarks/sweep_peers.py generate $(ARGS)
	$(BIN)/python benchmarks/sweep_peers.py promptfoo $(ARGS)
	$(BIN)/python benchmarks/sweep_peers.py interactive $(ARGS)
	$(BIN)/python benchmarks/sweep_peers.py progress $(ARGS)

bench-statistics: install  ## false positives and coverage of the sweeps' statistics, by simulation
	$(BIN)/python benchmarks/sweep_statistics.py $(ARGS)

bench-lab: install  ## every page and export of a sweep of 100,000 rows, over HTTP
	$(BIN)/python benchmarks/lab.py $(ARGS)

MODEL ?= spark-chat

models-train: install  ## make models/$(MODEL) again, from nothing: an hour or two on two cores; resumes
	$(BIN)/python -m pipelines.training train $(MODEL) $(ARGS)

models-eval: install  ## serve the built-in models, ask them the held-out tasks, print the tables
	$(BIN)/heliostat models eval $(ARGS)

clean:
	rm -rf $(VENV) web/dist web/node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
