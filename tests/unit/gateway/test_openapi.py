"""The HTTP surface is a committed snapshot: a change of it is seen in review.

`python -m tests.unit.gateway.test_openapi` writes the snapshot again.
"""

import json
from pathlib import Path
from typing import Any

from deployments.clients import Backends
from deployments.gateway.app import build_app
from tests.unit.gateway.conftest import LocalEmbedder, client_of, settings_with

SNAPSHOT = Path(__file__).parents[3] / "docs" / "openapi.json"


class NoRetriever:
    """Stands where the routes want a retriever; describing them calls nothing."""


def described() -> dict[str, Any]:
    backends = Backends(models={}, embedder=LocalEmbedder(), retriever=NoRetriever())  # type: ignore[arg-type]
    description = build_app(backends, settings_with()).openapi()
    description["info"].pop("version")
    return json.loads(json.dumps(description))


def test_the_surface_is_the_committed_one() -> None:
    assert described() == json.loads(SNAPSHOT.read_text()), "python -m tests.unit.gateway.test_openapi writes it"


def test_every_path_says_what_it_is_for() -> None:
    for path, methods in described()["paths"].items():
        for method, operation in methods.items():
            assert operation.get("summary"), f"{method} {path}"


async def test_the_docs_page_loads_nothing_from_elsewhere() -> None:
    backends = Backends(models={})
    async with client_of(build_app(backends, settings_with())) as client:
        page = (await client.get("/docs")).text
        assert "http" not in page
        script = next(part for part in page.split('"') if part.endswith("swagger-ui-bundle.js"))
        assert (await client.get(script)).status_code == 200


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(described(), indent=1) + "\n")
