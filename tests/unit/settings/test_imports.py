"""What importing our modules may not drag in, and which `cluster` it is."""

import subprocess
import sys
from pathlib import Path

import cluster

ROOT = Path(__file__).parents[3]


def loaded_by(module: str) -> set[str]:
    code = f"import {module}, sys; print(' '.join(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in run.stdout.split()}


def test_types_load_neither_ray_nor_torch() -> None:
    assert not loaded_by("cluster.types") & {"ray", "torch", "numpy", "fastapi", "pydantic"}


def test_settings_engines_and_stores_load_neither_ray_nor_torch() -> None:
    modules = "cluster.config, cluster.engines.factory, cluster.engines.scripted"
    assert not loaded_by(modules) & {"ray", "torch", "fastapi", "vllm", "transformers"}


def test_the_gateway_loads_no_engine_library() -> None:
    assert not loaded_by("deployments.gateway.openai.routes") & {"ray", "torch", "vllm", "transformers"}


def test_cluster_is_ours_and_not_the_package_of_that_name() -> None:
    assert Path(cluster.__file__).parent == ROOT / "cluster"
