"""Ray's dashboard as we use it: deploy, look and delete over its REST API, with the cluster's token.

No Ray import: the command line stays light, and the driver that Serve needs already lives in the dashboard.
"""

import json
from pathlib import Path
from typing import Any

import httpx

from cluster.config import environment
from cluster.errors import ClusterError, StartFailed
from cluster.runtime.state import ClusterState

DEPLOY_TIMEOUT_S = 120.0  # the first deploy starts Serve's controller and proxies: 5 to 10 s on 2 cores
READ_TIMEOUT_S = 15.0


def read_token(token_path: str | None) -> str | None:
    """The token in a file; None without one. Raises ClusterError where the file is gone."""
    if token_path is None:
        return None
    try:
        return Path(token_path).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ClusterError(f"the cluster's token cannot be read: {error}") from None


class Dashboard:
    """A client of one dashboard. token: the cluster's, None where it has none."""

    def __init__(self, url: str, token: str | None) -> None:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        # The dashboard is on this machine or inside the cluster's network: no web proxy between.
        self._client = httpx.Client(base_url=url, headers=headers, timeout=READ_TIMEOUT_S, trust_env=False)

    def __enter__(self) -> "Dashboard":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def is_up(self) -> bool:
        """Whether the REST API answers."""
        try:
            return self._client.get("/api/ray/version", timeout=2.0).is_success
        except httpx.HTTPError:
            return False

    def details(self) -> dict[str, Any]:
        """Serve's `ServeInstanceDetails`, as JSON. Raises ClusterError when it cannot be had."""
        try:
            answer = self._client.get("/api/serve/applications/")
            answer.raise_for_status()
            found: dict[str, Any] = answer.json()
        except (httpx.HTTPError, json.JSONDecodeError) as error:
            raise ClusterError(f"Ray's dashboard at {self._client.base_url} does not answer: {error}") from None
        return found

    def deploy(self, document: dict[str, Any]) -> None:
        """Make the cluster serve exactly this document's applications. Raises StartFailed."""
        try:
            answer = self._client.put("/api/serve/applications/", json=document, timeout=DEPLOY_TIMEOUT_S)
        except httpx.HTTPError as error:
            raise StartFailed(f"deploying over Ray's dashboard failed: {error}") from None
        if not answer.is_success:
            lines = [line for line in answer.text.splitlines() if line.strip()]
            raise StartFailed(f"Ray Serve refused the config: {lines[-1].strip() if lines else answer.status_code}")

    def shut_serve_down(self) -> None:
        """End Ray Serve with all its applications; Ray stays."""
        try:
            self._client.delete("/api/serve/applications/", timeout=DEPLOY_TIMEOUT_S).raise_for_status()
        except httpx.HTTPError as error:
            raise ClusterError(f"Ray Serve could not be shut down: {error}") from None


def open_dashboard(state: ClusterState) -> Dashboard:
    """A client of the cluster's dashboard, with its token."""
    token = environment().get("RAY_AUTH_TOKEN") if state.kind == "joined" else None
    return Dashboard(state.dashboard, token or read_token(state.token_path))
