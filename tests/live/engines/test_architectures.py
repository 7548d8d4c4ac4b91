"""The Hub's architectures through the catalog's settings, small and with random weights, by both engines.

Without the Hub's weights nothing can be said of the answers; but both engines must give the same.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster import torchvision_ops
from cluster.config import resolve
from cluster.engines.factory import chat_engine
from cluster.types import ChatCall
from tests.live.engines import tiny_models
from tests.live.engines.tiny_models import picture

pytestmark = [
    pytest.mark.live,
    pytest.mark.filterwarnings("ignore"),  # of the libraries' own, as they are imported
]
ARCHITECTURES = {
    "qwen2.5-0.5b-instruct": tiny_models.qwen2,
    "smolvlm-256m-instruct": tiny_models.smolvlm,
    "smolvlm2-256m-video-instruct": tiny_models.smolvlm2,
    "llava-1.5-7b": tiny_models.llava,
}


async def answers(kind: str, model: str, folder: Path) -> list[tuple[str, int]]:
    """The text and the prompt's tokens of each question, greedy."""
    engine = {"kind": kind, "source": str(folder), "dtype": "float32"}  # random weights in bfloat16 draw level
    given = {"id": "m", "catalog": model, "context_length": 512, "engine": engine}
    settings = resolve({"models": [given]}, {})
    running = chat_engine(settings.models[0], settings)
    await running.start()
    try:
        seeing = running.capabilities.images
        assert seeing == ("vlm" in model or "llava" in model)
        contents = [seen(1), seen(2)] if seeing else ["Hello"]
        return [await ask(running, content) for content in contents]
    finally:
        await running.stop()


def seen(seed: int) -> list[dict[str, Any]]:
    shown = {"type": "image_url", "image_url": {"url": picture(seed)}}
    return [shown, {"type": "text", "text": "What is it?"}]


async def ask(engine: Any, content: Any) -> tuple[str, int]:
    body = {"messages": [{"role": "user", "content": content}], "temperature": 0, "max_tokens": 12}
    reply = json.loads(await engine.chat(ChatCall(body=json.dumps(body).encode(), request_id="a")))
    return reply["choices"][0]["message"]["content"], reply["usage"]["prompt_tokens"]


@pytest.mark.parametrize(("model", "make"), ARCHITECTURES.items(), ids=ARCHITECTURES.keys())
async def test_an_architecture_of_the_catalog_answers_the_same_in_both_engines(
    model: str, make: Callable[[Path], Path], tmp_path: Path
) -> None:
    torchvision_ops.install()
    import torch

    torch.manual_seed(0)
    folder = make(tmp_path)
    vllm = await answers("vllm", model, folder)
    assert await answers("transformers", model, folder) == vllm
    assert len({text for text, _ in vllm}) == len(vllm), "another picture gave the same answer"
