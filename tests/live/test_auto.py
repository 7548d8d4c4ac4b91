"""`auto` over the demo's real models, by the official client."""

import json
from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.live.conftest import RunningCluster
from tests.unit.engines import pictures
from tests.unit.engines.pictures import asked, url

TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture(scope="module")
def client(cluster: RunningCluster) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{cluster.url}/v1", api_key="none", max_retries=2) as client:
        yield client


def test_words_tools_and_pictures_go_to_the_models_that_can_read_them(client: openai.OpenAI) -> None:
    words = [{"role": "user", "content": "What is the sun?"}]
    said = client.chat.completions.create(model="auto", messages=words, max_tokens=4)
    called = client.chat.completions.create(model="auto", messages=words, tools=[TOOL], max_tokens=4)
    seen = client.chat.completions.create(
        model="auto", messages=asked(url(pictures.odd()["png"]), "What colour is it?"), max_tokens=4
    )
    assert [one.model for one in (said, called, seen)] == ["spark-chat", "spark-chat", "spark-vision"]


def test_a_stream_names_its_model_and_the_header_says_what_decided(client: openai.OpenAI) -> None:
    words = [{"role": "user", "content": "What is the sun?"}]
    raw = client.chat.completions.with_raw_response.create(model="auto", messages=words, max_tokens=4, stream=True)
    assert raw.headers["x-heliostat-route"] == "auto -> spark-chat; reason=task"
    assert {chunk.model for chunk in raw.parse()} == {"spark-chat"}


def test_a_prompt_that_only_the_longer_context_holds_goes_there(client: openai.OpenAI) -> None:
    long = [{"role": "user", "content": "the sun " * 700}]  # 1,400 words: spark-vision reads 1,024 tokens
    assert client.chat.completions.create(model="auto", messages=long, max_tokens=4).model == "spark-chat"


def test_what_nobody_can_do_is_named(client: openai.OpenAI) -> None:
    both = asked(url(pictures.odd()["png"]), "What colour is it?")
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="auto", messages=both, tools=[TOOL], max_tokens=4)
    assert caught.value.code == "no_capable_model"


def test_the_command_line_tells_why(client: openai.OpenAI, cluster: RunningCluster) -> None:
    words = [{"role": "user", "content": "What is the sun?"}]
    client.chat.completions.create(model="auto", messages=words, max_tokens=1)
    told = cluster.run("events", "--kind", "route", timeout=60)
    assert "it sees pictures, and none is shown" in told.stdout, told.stderr


def test_embeddings_take_it_too(client: openai.OpenAI) -> None:
    assert client.embeddings.create(model="auto", input="the sun").model == "all-MiniLM-L6-v2"


def test_generate_and_providers_answer(cluster: RunningCluster) -> None:
    with httpx.Client(base_url=cluster.url, timeout=60, trust_env=False) as http:
        made = http.post("/api/v1/models/generate", json={"prompt": "What is the sun?", "max_tokens": 4}).json()
        assert (made["model"], made["provider"], made["usage"]["completion_tokens"]) == ("spark-chat", "local", 4)
        switched = http.post("/api/llm/provider/switch", json={"provider": "local", "model": "spark-vision"})
        assert switched.json()["model"] == "spark-vision"
        try:
            made = http.post("/api/v1/models/generate", json={"prompt": "What is it?", "max_tokens": 2}).json()
            assert made["model"] == "spark-vision", json.dumps(made)
        finally:
            assert http.post("/api/llm/provider/switch", json={"provider": "auto"}).json()["provider"] == "auto"
