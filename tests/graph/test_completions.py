"""Raw prompts, tokens and scores through the gateway and its replicas."""

import httpx

PROMPT = {"model": "echo", "prompt": "hello graph"}


async def test_a_raw_prompt_goes_through_whole_and_streamed(graph: httpx.AsyncClient) -> None:
    answer = (await graph.post("/v1/completions", json=PROMPT)).json()
    assert answer["choices"][0]["text"] == " hello graph"
    stream = await graph.post("/v1/completions", json={**PROMPT, "stream": True})
    assert stream.text.endswith("data: [DONE]\n\n")


async def test_tokens_are_told_by_replicas_of_both_kinds(graph: httpx.AsyncClient) -> None:
    for model in ("echo", "hash"):
        found = await graph.post("/tokenize", json={**PROMPT, "model": model, "return_token_strs": True})
        assert found.json()["token_strs"] == ["hello", "graph"]
        refused = await graph.post("/detokenize", json={"model": model, "tokens": [1]})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "tokens")


async def test_documents_are_ranked_by_the_served_embedder(graph: httpx.AsyncClient) -> None:
    body = {"model": "hash", "query": "a b", "documents": ["c d", "a b"]}
    found = (await graph.post("/v1/rerank", json=body)).json()
    assert found["results"][0]["index"] == 1
    refused = await graph.post("/v1/rerank", json={**body, "documents": ["a", " "]})
    assert refused.json()["error"]["param"] == "documents[1]"
