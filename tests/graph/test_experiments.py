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


async def test_an_experiment_is_generated_scored_analysed_and_exported(graph: httpx.AsyncClient) -> None:
    body = {
        "name": "whole way",
        "prompt": "hello graph",
        "temperature_min": 0.2,
        "temperature_max": 0.6,
        "temperature_step": 0.2,
        "top_p_min": 1.0,
        "top_p_step": 0.1,
        "max_tokens": 8,
        "response_count": 2,
    }
    made = (await graph.post("/api/experiments", json=body)).json()
    assert made["total_combinations"] == 6
    answer = await graph.post("/api/responses/generate", json={"experiment_id": made["id"], "model": "echo"})
    answers = answer.json()["responses"]
    assert (answer.status_code, len(answers)) == (201, 6)
    assert {one["content"] for one in answers} == {"hello graph"}
    events = (await graph.get(f"/api/experiments/{made['id']}/progress")).text
    assert "event: completed" in events
    scores = (await graph.get(f"/api/metrics/{answers[0]['id']}")).json()
    assert scores["overall_score"] is not None
    query = {"experiment_id": made["id"]}
    told = (await graph.get("/api/analytics/quality/breakdown", params=query)).json()
    assert (told["cells"], told["prompts"]) == (6, 1)
    rows = (await graph.get(f"/api/export/{made['id']}/csv")).text.splitlines()
    assert len(rows) == 7


async def test_the_lab_is_as_healthy_as_the_rest(graph: httpx.AsyncClient) -> None:
    assert (await graph.get("/api/health")).json()["status"] == "healthy"
