"""A cluster for this folder's tests: a GGUF file, a cross-encoder that sleeps, a model loaded on demand."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from tests.live.engines.spark_gguf import spark_gguf
from tests.live.starting import detached
from tests.tiny_cross_encoder import write
from tests.unit.library import models

SERVER = "cluster.engines.llama_cpp_server"
MORE = "owner/more"  # of the registry


@pytest.fixture(scope="package")
def home() -> Iterator[Path]:
    """The cluster's home. Nothing of llama.cpp is left behind it."""
    folder = Path(tempfile.mkdtemp(prefix="heliostat-kinds-"))
    models.write(folder / "registry" / MORE, models.files(weights=512 * 1024))
    gguf = spark_gguf(folder / "spark-chat-F32.gguf")
    ranker = {"kind": "cross_encoder", "source": str(write(folder / "ranker")), "dtype": "float32"}
    application = {
        "name": "heliostat",
        "route_prefix": "/",
        "import_path": "deployments.app:build",
        "args": {
            "hub": {"offline": True, "registry": str(folder / "registry"), "model_path": str(folder / "models")},
            "models": [
                {"id": "parrot", "engine": {"kind": "scripted"}, "replicas": {"cpus": 0.1}},
                {"id": "spark-gguf", "engine": {"kind": "llama_cpp", "source": str(gguf), "max_num_seqs": 2}},
                {"id": "all-MiniLM-L6-v2", "replicas": {"cpus": 0.1}},
                {
                    "id": "ranker",
                    "engine": ranker,
                    "replicas": {"min": 0, "max": 1, "cpus": 0.1, "up_delay_s": 0},
                },
            ],
            "documents": {"workers": 1, "worker_cpus": 0.5},
        },
    }
    config = folder / "config.yaml"
    config.write_text(yaml.safe_dump({"http_options": {"host": "127.0.0.1"}, "applications": [application]}))
    with detached(folder, config):
        yield folder
    assert not servers(folder)


def servers(home: Path) -> list[psutil.Process]:
    """The processes that run llama.cpp for the home."""
    found = []
    for process in psutil.process_iter():
        try:
            if SERVER in process.cmdline() and process.environ().get("HELIOSTAT_HOME") == str(home):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
