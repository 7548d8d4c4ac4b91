"""A real `chroma run` keeps the promises of all vector stores; what it does when it is away. Loopback only."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cluster.errors import Unavailable
from cluster.settings.stores import StoreSettings, VectorSettings
from cluster.stores.factory import open_vectors
from cluster.stores.vectors import VectorStore
from tests.unit.retrieval.recut_promises import *  # noqa: F403
from tests.unit.retrieval.vector_parts import DOCS, names, nearest, put, worded
from tests.unit.retrieval.vector_promises import *  # noqa: F403 - the tests are the promises

pytestmark = pytest.mark.live

START_S = 60.0


class ChromaServer:
    """`chroma run` over a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        command = Path(sys.executable).parent / "chroma"
        told = ["--path", str(self._folder), "--host", "127.0.0.1", "--port", str(self.port)]
        self._process = subprocess.Popen(
            [str(command), "run", *told], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                if httpx.get(f"{self.url}/api/v2/heartbeat").is_success:
                    return
            except httpx.HTTPError:
                time.sleep(0.1)
        raise TimeoutError("chroma run does not answer")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def chroma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChromaServer]:
    server = ChromaServer(tmp_path_factory.mktemp("chroma"))
    server.start()
    yield server
    server.kill()


@pytest.fixture
def stores(chroma: ChromaServer) -> StoreSettings:
    return StoreSettings(vectors=VectorSettings(kind="server", url=chroma.url))


@pytest.fixture
def store(stores: StoreSettings, tmp_path: Path) -> Iterator[VectorStore]:
    opened = open_vectors(stores, tmp_path)
    yield opened
    for card in opened.collections():
        opened.remove_collection(card.name)
    opened.close()


def test_what_is_stored_is_there_after_both_started_anew(
    chroma: ChromaServer, stores: StoreSettings, store: VectorStore, tmp_path: Path
) -> None:
    kept = put(store, "d1", tags=("a",), metadata={"year": 2024})
    chroma.kill()
    chroma.start()
    again = open_vectors(stores, tmp_path / "other")
    assert again.documents(DOCS) == (kept,)
    assert names(nearest(again, 1, limit=1)) == names(worded(again, "part1")) == ["d1"]
    again.close()


def test_a_server_that_is_away_is_said_and_used_again_when_it_is_back(
    chroma: ChromaServer, store: VectorStore
) -> None:
    put(store, "d1")
    chroma.kill()
    with pytest.raises(Unavailable):
        store.collections()
    with pytest.raises(Unavailable):
        put(store, "d2", source="b.txt")
    with pytest.raises(Unavailable):
        store.delete(DOCS, "d1")
    chroma.start()
    put(store, "d2", source="b.txt")
    assert {one.id for one in store.documents(DOCS)} == {"d1", "d2"}
    assert (store.count(DOCS), set(names(nearest(store, 0)))) == (4, {"d1", "d2"})


def test_a_lost_server_is_filled_again_from_the_vector_files(store: VectorStore, tmp_path: Path) -> None:
    kept = put(store, "d1")
    store._indexes.drop(DOCS)
    again = VectorStore(store._indexes, store._files, in_memory=store._in_memory)
    assert again.documents(DOCS) == ()
    assert again.reindex(DOCS) == 2
    assert again.documents(DOCS) == (kept,)
    again.remove_collection(DOCS)
