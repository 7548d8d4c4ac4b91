"""The transformers engine on the built-in models, in this process: no Ray."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from cluster.config import resolve
from cluster.engines.factory import chat_engine
from cluster.engines.protocol import ChatEngine
from cluster.types import ChatCall
from tests.live.engines.spark_promises import FROM_PASSAGES, SparkCompletionPromises, SparkPromises
from tests.live.engines.tiny_models import picture
from tests.unit.engines.chat_promises import EndPromises
from tests.unit.engines.completion_promises import goes_on, tokens

pytestmark = [
    pytest.mark.live,
    pytest.mark.asyncio(loop_scope="module"),
    # The warnings are those of torch's, Transformers' and vLLM's own modules as they are imported.
    pytest.mark.filterwarnings("ignore"),
]
QUESTIONS = (
    "Hello! How are you?",
    "What is Heliostat?",
    "Reply with one word.",
    FROM_PASSAGES,
)


def new(kind: str, catalog: str = "spark-chat", **engine: Any) -> ChatEngine:
    given = {"id": "spark", "catalog": catalog, "engine": {"kind": kind, **engine}}
    settings = resolve({"models": [given]}, {})
    return chat_engine(settings.models[0], settings)


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="engine")
async def _engine() -> AsyncIterator[ChatEngine]:
    engine = new("transformers")
    await engine.start()
    yield engine
    await engine.stop()


class TestTransformers(SparkPromises):
    pass


class TestTransformersCompletions(SparkCompletionPromises):
    pass


async def test_a_raw_prompt_says_what_vllm_says(engine: ChatEngine) -> None:
    vllm = new("vllm")
    try:
        await vllm.start()
        wanted = {"temperature": 0, "max_tokens": 12, "echo": True, "n": 2}
        found = [await goes_on(each, ["Hello, I am", "The sun"], **wanted) for each in (engine, vllm)]
        ours, theirs = [[choice["text"] for choice in each["choices"]] for each in found]
        assert ours == theirs
        assert found[0]["usage"]["completion_tokens"] == found[1]["usage"]["completion_tokens"]
        messages = [{"role": "user", "content": "Hello<|end|>"}]
        assert (await tokens(engine, messages=messages)).tokens == (await tokens(vllm, messages=messages)).tokens
    finally:
        await vllm.stop()


async def answers(engine: ChatEngine, **parameters: Any) -> list[dict[str, Any]]:
    """Each question's choice and usage."""
    found = []
    for question in QUESTIONS:
        body = {"messages": [{"role": "user", "content": question}], **parameters}
        reply = json.loads(await engine.chat(ChatCall(body=json.dumps(body).encode(), request_id="q")))
        choice = reply["choices"][0]
        usage = {name: reply["usage"][name] for name in ("prompt_tokens", "completion_tokens")}
        found.append({"text": choice["message"]["content"], "reason": choice["finish_reason"], **usage})
    return found


async def test_it_says_what_vllm_says_and_settings_speak_where_a_request_is_silent(engine: ChatEngine) -> None:
    wanted = {"temperature": 0, "max_tokens": 40}
    vllm, quiet = [new(kind, generation={"temperature": 0}) for kind in ("vllm", "transformers")]
    try:
        await vllm.start()
        await quiet.start()
        assert await answers(engine, **wanted) == await answers(vllm, **wanted)
        assert await answers(vllm, max_tokens=7) == await answers(quiet, max_tokens=7)
        assert await answers(quiet, max_tokens=7) == await answers(engine, temperature=0, max_tokens=7)
    finally:
        await vllm.stop()
        await quiet.stop()


async def test_it_sees_what_vllm_sees() -> None:
    found = []
    for kind in ("vllm", "transformers"):
        engine = new(kind, "spark-vision", dtype="float32")  # in bfloat16 their roundings differ
        try:
            await engine.start()
            assert engine.capabilities.images
            found.append([await described(engine, seed) for seed in range(4)])
        finally:
            await engine.stop()
    assert found[0] == found[1]


async def described(engine: ChatEngine, seed: int) -> tuple[str, int]:
    """What is said of a picture, greedily because the catalog says so, and the prompt's tokens."""
    shown = {"type": "image_url", "image_url": {"url": picture(seed)}}
    parts = [shown, {"type": "text", "text": "What colour is it?"}]
    body = {"messages": [{"role": "user", "content": parts}], "max_tokens": 12}
    reply = json.loads(await engine.chat(ChatCall(body=json.dumps(body).encode(), request_id="p")))
    return reply["choices"][0]["message"]["content"], reply["usage"]["prompt_tokens"]


class TestTransformersEnds(EndPromises):  # last: it stops the engine of all tests above
    pass
