"""The models the cluster knows, and what their deployments are called."""

import re


def deployment_name(model_id: str) -> str:
    """The Serve deployment of a model: its id, with what Serve's names cannot hold replaced by `-`."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", model_id)
