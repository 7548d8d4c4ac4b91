"""A Hub on loopback, an empty shelf, and no waiting."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.library.pulling import Machine, Patience
from cluster.library.shelf import Shelf
from tests.unit.library import models
from tests.unit.library.hub_server import FakeHub, point_at, serving

NO_WAIT = Patience(first_s=0.01, look_s=0.01)
ROOM = Machine(keep_free=0)

EXTRAS = {
    "pytorch_model.bin": b"the weights once more" * 100,
    "onnx/model.onnx": b"and again" * 100,
    "modeling_custom.py": b"import os",
    "README.md": b"# a card",
    "picture.png": b"png",
    "training_args.bin": b"pickled",
    ".gitattributes": b"*",
}
REPOSITORIES = {
    "owner/model": {**models.files(), **EXTRAS},
    "owner/large": models.files(weights=512 * 1024),
    "owner/pickled": {"config.json": b"{}", "pytorch_model.bin": b"pickled" * 500, "training_args.bin": b"p"},
    "owner/gguf": {"a-Q4_K_M.gguf": b"GGUF" * 500, "a-Q8_0.gguf": b"GGUF" * 900, "README.md": b""},
    "owner/tokenizer": {"tokenizer.json": b"{}"},
}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with serving(REPOSITORIES) as served:
        point_at(served.address, monkeypatch)
        yield served


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "cache")
