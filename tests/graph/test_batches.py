"""Files and batches through the whole graph; without a cluster no job starts."""

import httpx

LINE = b'{"custom_id": "a", "method": "POST", "url": "/v1/embeddings", "body": {"model": "hash", "input": "x"}}\n'


async def test_a_file_goes_in_and_a_batch_of_it_waits_for_a_job(graph: httpx.AsyncClient) -> None:
    form = {"files": {"file": ("lines.jsonl", LINE)}, "data": {"purpose": "batch"}}
    file = (await graph.post("/v1/files", **form)).json()
    assert (await graph.get(f"/v1/files/{file['id']}/content")).content == LINE
    wanted = {"input_file_id": file["id"], "endpoint": "/v1/embeddings", "completion_window": "24h"}
    made = (await graph.post("/v1/batches", json=wanted)).json()
    assert (await graph.get(f"/v1/batches/{made['id']}")).json()["status"] == "validating"
    cancelled = (await graph.post(f"/v1/batches/{made['id']}/cancel")).json()
    assert cancelled["status"] == "cancelled"


async def test_an_upload_may_be_larger_than_other_bodies(graph: httpx.AsyncClient) -> None:
    size = 33 * 1024**2  # limits.max_body_bytes is 32 MiB
    form = {"files": {"file": ("big", b"x" * size)}, "data": {"purpose": "user_data"}}
    response = await graph.post("/v1/files", **form)
    assert response.json()["bytes"] == size
    assert (await graph.delete(f"/v1/files/{response.json()['id']}")).json()["deleted"]
