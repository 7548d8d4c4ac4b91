"""Rows as a run stores them, an embedder by words, and scorers of one's own as an installed package has them."""

import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cluster.stores.runs import schema
from pipelines.sweeps.scoring.words import words

SIZE = 64


def embed(texts: list[str]) -> np.ndarray:
    """Unit vectors of counted words: texts with the same words are alike, those without any in common are not."""
    vectors = np.zeros((len(texts), SIZE), np.float32)
    for row, text in enumerate(texts):
        for word in words(text.lower()):
            vectors[row, zlib.crc32(word.encode()) % SIZE] += 1
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def row(place: int, text: str | None, **more: Any) -> dict[str, Any]:
    """One stored row."""
    return {
        "run_id": "0123456789ab",
        "cell_id": f"c{place}",
        "ordinal": place,
        "model": "spark-chat",
        "prompt_id": "p1",
        "prompt_hash": "hash",
        "prompt": "Tell me of the sea.",
        "parameters": "{}",
        "repeat": 1,
        "started": datetime(2026, 1, 1, tzinfo=UTC),
        "text": text,
        "finish_reason": "stop" if text is not None else None,
        "error_code": "engine_error" if text is None else None,
        "attempts": 1,
        **more,
    }


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=schema())


def read(rows: pa.Table, column: str) -> list[Any]:
    """A column of JSON objects."""
    return [None if text is None else json.loads(text) for text in rows.column(column).to_pylist()]


OWN = """
def politeness(text, prompt, row):
    return 100 if "please" in text else 0

politeness.version = "7"

def parts(text, prompt, row):
    return {"Tone": 80, "length": len(text), "seed": row.get("repeat") or 0}

def broken(text, prompt, row):
    raise RuntimeError("no such word")

def silent(text, prompt, row):
    return None

not_callable = 3
"""


@pytest.fixture
def own_scorers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Installs a package `own-scorers 1.2` whose entry points are given as name=attribute."""

    def install(**points: str) -> None:
        (tmp_path / "own_scorers.py").write_text(OWN)
        meta = tmp_path / "own_scorers-1.2.dist-info"
        meta.mkdir()
        (meta / "METADATA").write_text("Metadata-Version: 2.1\nName: own-scorers\nVersion: 1.2\n")
        lines = [f"{name} = own_scorers:{attribute}" for name, attribute in points.items()]
        (meta / "entry_points.txt").write_text("\n".join(["[heliostat.scorers]", *lines]))
        monkeypatch.syspath_prepend(tmp_path)

    return install
