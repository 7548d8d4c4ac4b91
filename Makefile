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

# Without bytecode on disk pytest rewrites every test file anew, and each process of the live level compiles ours.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install check format test test-packages test-unit test-gpu demo run bench bench-soak bench-scaling bench-embedding bench-embedding-clients bench-retrieval models-train models-eval clean

install: $(VENV)/.installed  ## a virtual environment with pinned versions

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[$(EXTRA),llama-cpp,postgresql,training,test,dev]"
	@touch $@

check: install  ## format, lint, types, import direction
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test: install test-packages  ## unit, graph, live and fault levels; real vLLM on the built-in models
	@status=0; $(BIN)/python -m pytest tests/unit $(PARALLEL) $(ARGS) || status=$$?; \
	$(BIN)/python -m pytest --ignore tests/unit $(ARGS) || status=$$?; exit $$status

test-packages:  ## what tests need beside Python; where it can't be installed, its tests say so and are skipped
	@command -v redis-server >/dev/null || $(SUDO) apt-get install --yes --quiet --no-install-recommends redis-server \
	  || echo "redis-server cannot be installed here: the tests that need it will be skipped"
	@command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 \
	  || $(SUDO) apt-get install --yes --quiet --no-install-recommends postgresql \
	  || echo "postgresql cannot be installed here: the tests that need it will be skipped"

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

MODEL ?= spark-chat

models-train: install  ## make models/$(MODEL) again, from nothing: an hour or two on two cores; resumes
	$(BIN)/python -m pipelines.training train $(MODEL) $(ARGS)

models-eval: install  ## serve the built-in models, ask them the held-out tasks, print the tables
	$(BIN)/heliostat models eval $(ARGS)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
