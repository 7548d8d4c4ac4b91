"""Engines over GGUF files, as a config would make them."""

from pathlib import Path
from typing import Any

from cluster.config import resolve
from cluster.engines.factory import chat_engine


def new(source: Path, kind: str = "llama_cpp", **engine: Any) -> Any:
    given = {"id": "spark", "engine": {"kind": kind, "source": str(source), **engine}}
    settings = resolve({"models": [given]}, {})
    return chat_engine(settings.models[0], settings)
