"""Documents through the whole graph: gateway, retriever, embedder and store as Serve composes them."""

import secrets

import httpx

SNOW = b"Snow covers the Alps in winter."


async def test_an_upload_is_stored_found_answered_from_and_deleted(graph: httpx.AsyncClient) -> None:
    stored = await graph.post("/api/v1/documents", files={"file": ("snow.txt", SNOW)})
    assert stored.status_code == 201, stored.text
    found = await graph.post("/api/v1/rag/search", json={"query": "snow in the Alps", "limit": 1})
    assert found.json()["passages"][0]["text"] == SNOW.decode()
    answer = (await graph.post("/api/v1/rag/query", json={"query": "What covers the Alps in winter?"})).json()
    assert answer["model"] == "echo"
    assert answer["citations"][0]["source"] == "snow.txt"
    assert answer["usage"]["completion_tokens"] > 0
    gone = await graph.delete(f"/api/v1/documents/{stored.json()['id']}")
    assert gone.status_code == 200
    assert (await graph.get("/api/v1/documents")).json()["documents"] == []


async def test_a_broken_document_crosses_the_graph_as_its_own_error(graph: httpx.AsyncClient) -> None:
    answer = await graph.post("/api/v1/documents", files={"file": ("a.pdf", b"%PDF-1.4 broken")})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "broken_document")


async def test_a_question_without_documents_is_answered_without_a_model(graph: httpx.AsyncClient) -> None:
    answer = (await graph.post("/api/v1/rag/query", json={"query": "Who won?", "model": "slow/echo"})).json()
    assert (answer["answer"], answer["usage"]["total_tokens"]) == ("The documents don't say.", 0)


async def test_an_answer_comes_from_the_file_that_is_stored_and_from_nothing_else(graph: httpx.AsyncClient) -> None:
    """Names and values are new in every run, so that nobody can know them; the second file says otherwise."""
    tower = secrets.token_hex(4)
    question = {"query": f"How many steps has the tower {tower}?", "model": "echo"}
    for _ in range(2):
        steps = str(secrets.randbelow(10**9))
        text = f"The tower {tower} has {steps} steps.".encode()
        stored = await graph.post("/api/v1/documents", files={"file": ("tower.txt", text)})
        answer = (await graph.post("/api/v1/rag/query", json=question)).json()
        assert answer["answer"] == f"{text.decode()} [1]"
        assert answer["citations"][0]["text"] == text.decode()
        await graph.delete(f"/api/v1/documents/{stored.json()['id']}")
    answer = (await graph.post("/api/v1/rag/query", json=question)).json()
    assert answer["answer"] == "The documents don't say."


async def test_a_question_about_something_else_is_not_answered_from_the_file(graph: httpx.AsyncClient) -> None:
    stored = await graph.post("/api/v1/documents", files={"file": ("snow.txt", SNOW)})
    answer = (await graph.post("/api/v1/rag/query", json={"query": "Who wrote Faust?", "model": "echo"})).json()
    assert (answer["answer"], answer["citations"]) == ("The documents don't say.", [])
    await graph.delete(f"/api/v1/documents/{stored.json()['id']}")
