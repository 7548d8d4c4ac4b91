import httpx

BODY = {
    "name": "graph",
    "prompt": "hello graph",
    "model": "slow/echo",
    "parameter_ranges": {"temperature": {"min": 0, "max": 1, "step": 0.5}, "max_tokens": [4, 8]},
    "response_count": 2,
}


async def test_a_batch_experiment_is_created_and_found_through_the_gateway(graph: httpx.AsyncClient) -> None:
    made = (await graph.post("/api/experiments/batch", json=BODY)).json()
    assert (made["status"], made["total_combinations"]) == ("pending", 12)
    assert "temperature 0" in made["notes"][0]
    found = (await graph.get(f"/api/experiments/batch/{made['id']}")).json()
    assert (found["name"], found["model"], found["status"]) == ("graph", "slow/echo", "pending")
    listed = (await graph.get("/api/experiments/batch")).json()
    assert made["id"] in {entry["id"] for entry in listed["experiments"]}


async def test_a_batch_over_a_model_that_does_not_chat_is_refused(graph: httpx.AsyncClient) -> None:
    response = await graph.post("/api/experiments/batch", json={**BODY, "model": "hash"})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")


async def test_a_batch_that_nobody_can_run_says_so(graph: httpx.AsyncClient) -> None:
    number = (await graph.post("/api/experiments/batch", json=BODY)).json()["id"]
    response = await graph.post(f"/api/experiments/batch/{number}/start")
    assert (response.status_code, response.json()["error"]["code"]) == (500, "not_running")
    status = (await graph.get(f"/api/experiments/batch/{number}/status")).json()
    assert status["status"] == "failed"
    assert "no cluster" in status["error_message"]
