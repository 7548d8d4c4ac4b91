"""Raw prompts, scores and tokens over the running cluster, with OpenAI's client where it has a method for them."""

import httpx
import openai
import pytest

pytestmark = pytest.mark.live

TEMPLATED = "<|begin|><|user|>What is Heliostat?<|end|><|assistant|>"


@pytest.fixture
def client(cluster):
    with openai.OpenAI(base_url=f"{cluster.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_a_raw_prompt_in_the_template_s_own_words_is_a_chat(client) -> None:
    raw = client.completions.create(
        model="spark-chat",
        prompt=TEMPLATED,
        max_tokens=20,
        temperature=0,
        extra_body={"add_special_tokens": False},
    )
    chat = client.chat.completions.create(
        model="spark-chat",
        messages=[{"role": "user", "content": "What is Heliostat?"}],
        max_tokens=20,
        temperature=0,
    )
    assert raw.choices[0].text == chat.choices[0].message.content
    assert raw.usage.prompt_tokens == chat.usage.prompt_tokens


def test_several_prompts_are_streamed_side_by_side(client) -> None:
    stream = client.completions.create(
        model="spark-chat",
        prompt=[TEMPLATED, "The sun"],
        n=2,
        max_tokens=8,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    texts, usage = dict.fromkeys(range(4), ""), None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.text
    assert texts[0] == texts[1] != texts[2] == texts[3]
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_logprobs_and_an_echo_are_told(client) -> None:
    found = client.completions.create(model="spark-chat", prompt="The sun", max_tokens=0, echo=True, logprobs=2)
    [choice] = found.choices
    assert choice.text == "The sun"
    assert choice.logprobs.token_logprobs[0] is None
    assert len(choice.logprobs.tokens) == found.usage.prompt_tokens


def test_tokens_go_there_and_back(cluster, client) -> None:
    messages = [{"role": "user", "content": "Hello!"}]
    found = httpx.post(f"{cluster.url}/tokenize", json={"model": "spark-chat", "messages": messages}).json()
    chat = client.chat.completions.create(model="spark-chat", messages=messages, max_tokens=1)
    assert found["count"] == chat.usage.prompt_tokens
    body = {"model": "spark-chat", "tokens": found["tokens"]}
    text = httpx.post(f"{cluster.url}/detokenize", json=body).json()["prompt"]
    assert text == "<|begin|><|user|>Hello!<|end|><|assistant|>"
    embedder = next(model.id for model in client.models.list() if model.model_extra["task"] == "embedding")
    body = {"model": embedder, "prompt": "hello", "return_token_strs": True}
    assert httpx.post(f"{cluster.url}/tokenize", json=body).json()["token_strs"] == ["[CLS]", "hello", "[SEP]"]


def test_what_means_the_same_ranks_first(cluster, client) -> None:
    embedder = next(model.id for model in client.models.list() if model.model_extra["task"] == "embedding")
    documents = ["The stock market fell.", "A kitten is asleep on the rug.", "Rain is expected."]
    body = {"model": embedder, "query": "A cat sleeps on a carpet.", "documents": documents, "top_n": 2}
    found = httpx.post(f"{cluster.url}/v1/rerank", json=body).json()
    assert found["results"][0]["index"] == 1
    assert len(found["results"]) == 2
    body = {"model": embedder, "text_1": body["query"], "text_2": documents}
    scores = [one["score"] for one in httpx.post(f"{cluster.url}/score", json=body).json()["data"]]
    assert max(scores) == scores[1] == pytest.approx(found["results"][0]["relevance_score"], abs=1e-3)
