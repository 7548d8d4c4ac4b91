"""Collections and vector stores through the whole graph: gateway, retriever, embedder and store."""

import json

import httpx
import openai

SNOW = b"Snow covers the Alps in winter."
RAIN = b"Rain falls in Wales all year."


async def test_a_collection_holds_its_own_documents_with_their_labels(graph: httpx.AsyncClient) -> None:
    made = await graph.post("/api/v1/collections", json={"name": "weather"})
    assert made.status_code == 201, made.text
    try:
        metadata = json.dumps({"place": "alps", "year": 2024})
        stored = await graph.post(
            "/api/v1/documents",
            files={"file": ("snow.txt", SNOW)},
            data={"collection": "weather", "tags": "cold,white", "metadata": metadata},
        )
        document = stored.json()
        assert (document["tags"], document["metadata"]["year"]) == (["cold", "white"], 2024), stored.text
        assert (await graph.get("/api/v1/documents")).json()["documents"] == []
        where = json.dumps({"type": "eq", "key": "place", "value": "alps"})
        listed = await graph.get("/api/v1/documents", params={"collection": "weather", "where": where})
        assert [one["id"] for one in listed.json()["documents"]] == [document["id"]]
        chunks = await graph.get(f"/api/v1/documents/{document['id']}/chunks?collection=weather")
        assert [chunk["text"] for chunk in chunks.json()["chunks"]] == [SNOW.decode()]
        path = f"/api/v1/documents/{document['id']}?collection=weather"
        changed = await graph.patch(path, json={"tags": ["wet"]})
        assert (changed.json()["tags"], changed.json()["metadata"]["place"]) == (["wet"], "alps")
        shown = (await graph.get("/api/v1/collections/weather")).json()
        assert (shown["documents"], shown["chunks"]) == (1, 1)
        assert shown["embedder"]["dimensions"] > 0
    finally:
        gone = await graph.delete("/api/v1/collections/weather")
    assert gone.status_code == 200, gone.text
    assert (await graph.get("/api/v1/documents?collection=weather")).status_code == 404


async def test_openais_client_fills_searches_and_empties_a_vector_store(graph: httpx.AsyncClient) -> None:
    client = openai.AsyncOpenAI(base_url=f"{graph.base_url}/v1", api_key="k", http_client=graph, max_retries=0)
    store = await client.vector_stores.create(name="Weather")
    try:
        files = [("snow.txt", SNOW), ("rain.txt", RAIN), ("picture.png", b"png")]
        batch = await client.vector_stores.file_batches.upload_and_poll(store.id, files=files, poll_interval_ms=20)
        assert (batch.status, batch.file_counts.completed, batch.file_counts.failed) == ("completed", 2, 1)
        found = await client.vector_stores.search(store.id, query="snow in the Alps", max_num_results=1)
        assert [(hit.filename, hit.content[0].text) for hit in found.data] == [("snow.txt", SNOW.decode())]
        file = found.data[0].file_id
        content = [part async for part in client.vector_stores.files.content(file, vector_store_id=store.id)]
        assert [part.text for part in content] == [SNOW.decode()]
        await client.vector_stores.files.delete(file, vector_store_id=store.id)
        left = await client.vector_stores.search(store.id, query="snow in the Alps", max_num_results=5)
        assert {hit.filename for hit in left.data} <= {"rain.txt"}
    finally:
        assert (await client.vector_stores.delete(store.id)).deleted
