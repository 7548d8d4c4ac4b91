"""Answers from files through the whole graph, as OpenAI's client asks for them, and as this API does."""

import json

import httpx
import openai

SNOW = b"Snow covers the Alps in winter."
QUESTION = "What covers the Alps in winter?"


async def test_openais_client_has_a_question_answered_from_a_vector_store(graph: httpx.AsyncClient) -> None:
    client = openai.AsyncOpenAI(base_url=f"{graph.base_url}/v1", api_key="k", http_client=graph, max_retries=0)
    store = await client.vector_stores.create(name="Weather")
    try:
        file = await client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=("snow.txt", SNOW), poll_interval_ms=20
        )
        assert file.status == "completed"
        tool = {"type": "file_search", "vector_store_ids": [store.id]}
        response = await client.responses.create(
            model="echo",
            input=QUESTION,
            tools=[tool],  # type: ignore[list-item]  # as its users write it
            include=["file_search_call.results"],
        )
        search, message = response.output
        assert search.type == "file_search_call"
        assert [(hit.file_id, hit.filename) for hit in search.results or ()] == [(file.id, "snow.txt")]
        assert response.output_text == f"{SNOW.decode()} [1]"
        assert message.type == "message"
        cited = message.content[0].annotations  # type: ignore[union-attr]  # no refusal
        assert {(one.type, one.file_id) for one in cited} == {("file_citation", file.id)}  # type: ignore[union-attr]
        stream = await client.responses.create(
            model="echo", input=QUESTION, tools=[tool], stream=True  # type: ignore[list-item]
        )  # fmt: skip
        kinds = [event.type async for event in stream]
        assert "response.output_text.annotation.added" in kinds
        assert kinds[-1] == "response.completed"
    finally:
        await client.vector_stores.delete(store.id)


async def test_a_grounded_answer_is_streamed_from_a_collection_of_ones_own(graph: httpx.AsyncClient) -> None:
    await graph.post("/api/v1/collections", json={"name": "alps"})
    try:
        labels = {"collection": "alps", "tags": "cold", "metadata": json.dumps({"year": 2024})}
        stored = await graph.post("/api/v1/documents", files={"file": ("snow.txt", SNOW)}, data=labels)
        assert stored.status_code == 201, stored.text
        asked = {"query": QUESTION, "collection": "alps", "model": "auto", "stream": True, "tags": ["cold"]}
        where = {"type": "gte", "key": "year", "value": 2024}
        answer = await graph.post("/api/v1/rag/query", json={**asked, "where": where})
        name, data = answer.text.rstrip().split("\n\n")[-1].split("\n")
        done = json.loads(data.removeprefix("data: "))
        assert (name, done["answer"]) == ("event: done", f"{SNOW.decode()} [1]")
        (citation,) = done["citations"]
        assert [quote["text"] for quote in citation["quotes"]] == [SNOW.decode()[:-1]]
        for narrower in ({"where": {**where, "type": "lt"}}, {"tags": ["cold", "wet"]}):
            told = await graph.post("/api/v1/rag/query", json={**asked, "stream": False, **narrower})
            assert told.json()["abstained"], told.text
        for mode in ("dense", "bm25", "hybrid"):
            found = await graph.post(
                "/api/v1/rag/search", json={"query": "Alps", "collection": "alps", "mode": mode, "rerank": "hash"}
            )
            assert [one["text"] for one in found.json()["passages"]] == [SNOW.decode()], mode
    finally:
        await graph.delete("/api/v1/collections/alps")
