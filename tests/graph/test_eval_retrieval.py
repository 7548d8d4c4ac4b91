"""An evaluation through the whole graph: its searches over the public routes, of a collection that was uploaded."""

import asyncio
from pathlib import Path

import httpx

from pipelines.documents.evaluation.corpus import write_corpus
from pipelines.documents.evaluation.dataset import read_dataset
from pipelines.documents.evaluation.run import Evaluation, Mode
from pipelines.documents.evaluation.scores import of_mode
from pipelines.documents.evaluation.served import ServedCollection
from tests.unit.evaluation.folders import beir


class Bridge(httpx.BaseTransport):
    """A blocking client's requests, carried out by an asynchronous client on its own loop."""

    def __init__(self, client: httpx.AsyncClient, loop: asyncio.AbstractEventLoop) -> None:
        self._client = client
        self._loop = loop

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        copy = self._client.build_request(
            request.method, request.url.path, content=request.read(), headers=request.headers
        )
        answer = asyncio.run_coroutine_threadsafe(self._client.send(copy), self._loop).result(60)
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)


async def test_a_collection_is_measured_over_the_public_routes(graph: httpx.AsyncClient, tmp_path: Path) -> None:
    dataset = read_dataset(beir(tmp_path / "mills"))
    corpus = write_corpus(dataset.entries, tmp_path / "files")
    made = await graph.post("/api/v1/collections", json={"name": "eval-mills"})
    assert made.status_code in {200, 201}, made.text
    for file in corpus.files:
        content = await asyncio.to_thread(Path(file.path).read_bytes)
        sent = await graph.post(
            "/api/v1/documents", files={"file": (file.source, content)}, data={"collection": "eval-mills"}
        )
        assert sent.status_code == 201, sent.text
        assert sent.json()["id"] in corpus.ids
    bridge = Bridge(graph, asyncio.get_running_loop())
    served = ServedCollection("http://graph", "eval-mills", embedder="hash", rerank="hash", transport=bridge)
    evaluation = Evaluation(dataset, corpus.ids, served, lambda mode, number: None)
    for mode in Mode:
        scores = of_mode(await asyncio.to_thread(evaluation.measure, mode))
        assert (scores.queries, scores.failed, scores.recall_10) == (2, 0, 1), mode
    assert (await asyncio.to_thread(served.embed, "barley")).shape == (64,)
    await graph.delete("/api/v1/collections/eval-mills")
