"""What importing our modules may not drag in, and which `cluster` it is."""

import subprocess
import sys
from pathlib import Path

import pytest

import cluster

ROOT = Path(__file__).parents[3]


# Each may load what those before it load, and of that no more than it is allowed itself.
MODULES = {
    "cluster.types, cluster.documents": {"ray", "torch", "numpy", "fastapi", "pydantic"},
    "cluster.config, cluster.engines.factory, cluster.engines.scripted, cluster.library.library": {
        "ray", "torch", "fastapi", "vllm", "transformers",
    },
    "deployments.gateway.openai.routes": {"ray", "torch", "vllm", "transformers"},
}  # fmt: skip


@pytest.fixture(scope="module")
def loaded() -> dict[str, set[str]]:
    """Which packages are loaded after each line of imports, one after the other in one process."""
    code = "import sys\n" + "".join(f"import {line}\nprint(*sys.modules)\n" for line in MODULES)
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    found = [{name.split(".")[0] for name in line.split()} for line in run.stdout.splitlines()]
    return dict(zip(MODULES, found, strict=True))


@pytest.mark.parametrize("line", MODULES)
def test_importing_ours_loads_nothing_heavy(loaded: dict[str, set[str]], line: str) -> None:
    assert not loaded[line] & MODULES[line]


def test_cluster_is_ours_and_not_the_package_of_that_name() -> None:
    assert Path(cluster.__file__).parent == ROOT / "cluster"
