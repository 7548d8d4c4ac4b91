"""The gateway alone, for `lab.py`: `python benchmarks/lab_gateway.py HOME PORT`, without Ray and without models."""

import sys
from pathlib import Path

import uvicorn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cluster.config import resolve
from cluster.settings.tree import Settings
from deployments.clients import Backends
from deployments.gateway.app import build_app


def settings_of(home: Path) -> Settings:
    """Of a gateway over that home."""
    return resolve({"home": str(home), "models": [{"id": "echo", "engine": {"kind": "scripted"}}]}, {})


if __name__ == "__main__":
    folder, port = sys.argv[1:]
    app = build_app(Backends(models={}), settings_of(Path(folder)))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning")
