"""`configs/gpu-node.yaml`'s engine settings on CUDA, with the built-in model in place of the Hub's."""

import asyncio
import json
from pathlib import Path

import pytest

from cluster.config import load_config
from cluster.engines.factory import chat_engine
from cluster.types import ChatCall

ROOT = Path(__file__).parents[2]
BUILTIN = {
    "HELIOSTAT__MODELS__0__ENGINE__SOURCE": "models/spark-chat",
    "HELIOSTAT__MODELS__0__CONTEXT_LENGTH": "2048",
    "HELIOSTAT__MODELS__0__ENGINE__TOOL_CALL_PARSER": "null",
}


def call(number: int, **fields: object) -> ChatCall:
    body = {
        "model": "qwen2.5-7b-instruct",
        "messages": [{"role": "user", "content": f"Tell me a short story. ({number})"}],
        "max_tokens": 64,
        **fields,
    }
    return ChatCall(body=json.dumps(body).encode(), request_id=f"gpu-{number}")


@pytest.fixture
async def engine():
    settings = load_config(ROOT / "configs/gpu-node.yaml", BUILTIN).settings
    engine = chat_engine(settings.chat_models[0], settings)
    await engine.start()
    yield engine
    await engine.stop()


async def test_it_generates_on_the_gpu(engine) -> None:
    import torch

    free, total = torch.cuda.mem_get_info()
    assert (total - free) / total > 0.5, "vLLM did not take its share of the GPU's memory"
    answer = json.loads(await engine.chat(call(0, temperature=0)))
    assert answer["usage"]["completion_tokens"] > 1


async def test_256_seeded_requests_at_once_all_end(engine) -> None:
    answers = await asyncio.gather(*(engine.chat(call(number, seed=number)) for number in range(256)))
    assert all(json.loads(answer)["choices"][0]["finish_reason"] for answer in answers)
    await engine.check_health()
