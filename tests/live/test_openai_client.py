"""The official OpenAI client against the real cluster: real sockets, real vLLM, the built-in models."""

import asyncio
import time

import httpx
import openai
import pytest

MODEL = "spark-chat"
LONG = [{"role": "user", "content": "word " * 5000}]
STORY = [{"role": "user", "content": "Tell me a short story about a mirror."}]


@pytest.fixture
def client(cluster):
    with openai.OpenAI(base_url=f"{cluster.url}/v1", api_key="unused", max_retries=0) as client:
        yield client


def test_it_lists_the_models(client) -> None:
    assert {model.id for model in client.models.list()} == {MODEL, "spark-vision", "all-MiniLM-L6-v2", "auto"}
    assert client.models.retrieve(MODEL).owned_by == "heliostat"


def test_a_response_has_one_request_id(cluster) -> None:
    for sent in ({}, {"x-request-id": "mine-1"}):
        ids = httpx.get(f"{cluster.url}/v1/models", headers=sent).headers.get_list("x-request-id")
        assert len(ids) == 1
        assert ids[0] == sent.get("x-request-id", ids[0])


def test_it_chats(client) -> None:
    answer = client.chat.completions.create(model=MODEL, messages=STORY, max_tokens=30, temperature=0)
    assert answer.choices[0].message.content.strip()
    assert answer.usage.completion_tokens > 1
    assert answer.choices[0].finish_reason in {"stop", "length"}


def test_a_stream_says_the_same_as_a_whole_answer(client) -> None:
    asked = {"model": MODEL, "messages": STORY, "max_tokens": 30, "temperature": 0}
    whole = client.chat.completions.create(**asked).choices[0].message.content
    chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert streamed == whole
    assert chunks[-1].usage.completion_tokens > 1


def test_tokens_arrive_one_after_another(client) -> None:
    asked = {"model": MODEL, "messages": STORY, "max_tokens": 200, "extra_body": {"ignore_eos": True}}
    arrivals = [time.monotonic() for _ in client.chat.completions.create(**asked, stream=True)]
    assert len(arrivals) > 20
    half = (arrivals[-1] - arrivals[0]) / 2
    early = sum(1 for arrival in arrivals if arrival - arrivals[0] < half)
    assert early > len(arrivals) * 0.2, "the chunks came in one lump at the end"


def test_it_gets_embeddings_that_know_meaning(client) -> None:
    texts = ["A cat sleeps on the sofa.", "A kitten naps on the couch.", "The bank raised its rates."]
    cat, kitten, bank = (
        item.embedding for item in client.embeddings.create(model="all-MiniLM-L6-v2", input=texts).data
    )
    assert len(cat) == 384

    def cosine(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert cosine(cat, cat) == pytest.approx(1, abs=1e-3)
    assert cosine(cat, kitten) > cosine(cat, bank) + 0.3


@pytest.mark.parametrize(
    ("fields", "kind", "code"),
    [
        ({"model": "nope"}, openai.NotFoundError, "model_not_found"),
        ({"messages": []}, openai.BadRequestError, "invalid_request"),
        ({"max_tokens": -1}, openai.BadRequestError, "invalid_request"),
        ({"messages": LONG}, openai.BadRequestError, "context_length_exceeded"),
    ],
)
def test_mistakes_become_the_clients_own_errors(client, fields, kind, code) -> None:
    asked = {"model": MODEL, "messages": STORY, **fields}
    for stream in (False, True):
        with pytest.raises(kind) as caught:
            client.chat.completions.create(**asked, stream=stream)
        assert caught.value.code == code


async def running(client: httpx.AsyncClient) -> float:
    return (await client.get("/health")).json()["load"][MODEL]["running"]


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
async def test_a_client_that_hangs_up_stops_the_generation(cluster, stream: bool) -> None:
    body = {"model": MODEL, "messages": STORY, "max_tokens": 1800, "ignore_eos": True, "stream": stream}
    async with httpx.AsyncClient(base_url=cluster.url, timeout=30) as client:
        assert await running(client) == 0

        async def ask() -> None:
            async with client.stream("POST", "/v1/chat/completions", json=body) as response:
                async for _ in response.aiter_bytes():
                    pass

        asking = asyncio.ensure_future(ask())
        for _ in range(50):
            await asyncio.sleep(0.02)
            if await running(client):
                break
        else:
            pytest.fail("the generation never began")
        asking.cancel()
        hung_up = time.monotonic()
        while await running(client):
            assert time.monotonic() - hung_up < 5, "the replica works on for nobody"
            await asyncio.sleep(0.02)


async def test_sixty_four_streams_at_once_all_end_whole(cluster) -> None:
    body = {"model": MODEL, "messages": STORY, "max_tokens": 40, "stream": True}
    async with httpx.AsyncClient(
        base_url=cluster.url, timeout=60, limits=httpx.Limits(max_connections=64)
    ) as client:
        answers = await asyncio.gather(*(client.post("/v1/chat/completions", json=body) for _ in range(64)))
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.text.endswith("data: [DONE]\n\n") for answer in answers)
