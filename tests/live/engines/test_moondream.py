"""The moondream2 adapter on a model with the same face, since the Hub cannot be reached from a test."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cluster.config import resolve
from cluster.engines.factory import chat_engine
from cluster.errors import BadRequest, StartFailed, UnsupportedParameter
from cluster.types import ChatCall
from tests.live.engines.tiny_models import picture
from tests.unit.engines.chat_promises import begun, idle

pytestmark = [
    pytest.mark.live,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore"),  # of the libraries' own, as they are imported
]
CODE = Path(__file__).with_name("moondream_like") / "hf_moondream.py"
PICTURE = {"type": "image_url", "image_url": {"url": picture(1)}}
PATCHES = 1 + 27**2  # tokens of any picture


def folder_of(place: Path) -> Path:
    """A folder as the Hub's: code, configuration and weights."""
    import torch
    from safetensors.torch import save_file

    shutil.copy(CODE, place)
    auto = {"AutoConfig": "hf_moondream.HfConfig", "AutoModelForCausalLM": "hf_moondream.HfMoondream"}
    about = {"architectures": ["HfMoondream"], "auto_map": auto, "model_type": "moondream1"}
    (place / "config.json").write_text(json.dumps(about))
    torch.manual_seed(0)
    weights = {"model.head.weight": torch.randn(14, 8), "model.head.bias": torch.tensor([-9.0] + [0.0] * 13)}
    save_file(weights, place / "model.safetensors")
    return place


def new(folder: Path, **changes: Any) -> Any:
    engine = {"source": str(folder), "also": [], **changes}
    settings = resolve({"models": [{"id": "moondream2", "engine": engine}]}, {})
    return chat_engine(settings.models[0], settings)


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="engine")
async def _engine(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Any]:
    engine = new(folder_of(tmp_path_factory.mktemp("moondream2")))
    await engine.start()
    yield engine
    await engine.stop()


def call(content: Any, **given: Any) -> ChatCall:
    messages = given.pop("messages", [{"role": "user", "content": content}])
    return ChatCall(body=json.dumps({"messages": messages, **given}).encode(), request_id="m")


async def answer(engine: Any, content: Any, **given: Any) -> Any:
    return json.loads(await engine.chat(call(content, **given)))


def asked(engine: Any) -> Any:
    """What the model's own code was last asked."""
    return engine._loaded._inner.seen[-1]


async def test_a_question_about_a_picture_is_its_query(engine: Any) -> None:
    content = [PICTURE, {"type": "text", "text": "What is it?"}]
    found = await answer(engine, content, temperature=0, max_tokens=5)
    assert asked(engine) == ("query", "What is it?", {"max_tokens": 5, "temperature": 0.0, "top_p": 0.3})
    [choice] = found["choices"]
    assert len(choice["message"]["content"].split()) == 5
    assert choice["finish_reason"] == "length"
    assert found["usage"]["completion_tokens"] == 5
    assert found["usage"]["prompt_tokens"] == PATCHES + 2 + 3 + 1


async def test_a_picture_alone_is_captioned(engine: Any) -> None:
    found = await answer(engine, [PICTURE], max_tokens=5)
    assert asked(engine)[:2] == ("caption", "normal")
    assert found["usage"]["prompt_tokens"] == PATCHES + 3


async def test_it_samples_as_the_catalog_says_where_the_request_is_silent(engine: Any) -> None:
    found = await answer(engine, "What is the moon?")
    assert asked(engine)[2] == {
        "max_tokens": 2048 - found["usage"]["prompt_tokens"],
        "temperature": 0.5,
        "top_p": 0.3,
    }


async def test_another_picture_gives_another_answer_and_the_same_the_same(engine: Any) -> None:
    async def said(seed: int) -> str:
        shown = {"type": "image_url", "image_url": {"url": picture(seed)}}
        content = [shown, {"type": "text", "text": "What is it?"}]
        found = await answer(engine, content, temperature=0, max_tokens=12)
        return str(found["choices"][0]["message"]["content"])

    first, again, *others = [await said(seed) for seed in (1, 1, 2, 3)]
    assert first == again
    assert set(others) != {first}


async def test_a_seed_repeats_an_answer_and_another_does_not(engine: Any) -> None:
    texts = [
        (await answer(engine, "Tell me", seed=seed, temperature=2, max_tokens=16))["choices"][0]["message"][
            "content"
        ]
        for seed in (7, 7, 8)
    ]
    assert texts[0] == texts[1] != texts[2]


async def test_a_stop_string_ends_it_and_its_tokens_too(engine: Any) -> None:
    whole = (await answer(engine, "Tell me", temperature=0, max_tokens=30))["choices"][0]["message"]["content"]
    stop = whole.split()[3]
    found = await answer(engine, "Tell me", temperature=0, max_tokens=30, stop=stop)
    assert found["choices"][0]["message"]["content"] == whole[: whole.index(stop)]
    assert found["choices"][0]["finish_reason"] == "stop"
    assert found["usage"]["completion_tokens"] < 30


async def test_a_client_that_goes_ends_the_models_own_loop(engine: Any) -> None:
    task = asyncio.create_task(engine.chat(call("Tell me", temperature=0, max_tokens=2000)))
    await begun(engine)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await idle(engine, 5)
    assert engine._loaded._steps.taken < 2000


@pytest.mark.parametrize(
    ("content", "given", "kind"),
    [
        ("x", {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}, BadRequest),
        (
            "x",
            {"messages": [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "a"}]},
            BadRequest,
        ),
        ([PICTURE, PICTURE], {}, BadRequest),
        ("", {}, BadRequest),
        ("x", {"top_k": 3}, UnsupportedParameter),
        ("x", {"tools": []}, UnsupportedParameter),
    ],
)
async def test_what_its_code_cannot_do_is_refused(engine: Any, content: Any, given: Any, kind: Any) -> None:
    with pytest.raises(kind):
        await engine.chat(call(content, **given))


async def test_code_that_nobody_trusts_does_not_run(tmp_path: Path) -> None:
    with pytest.raises(StartFailed, match="runs Python of its own"):
        await new(folder_of(tmp_path), trust_remote_code=False).start()


async def test_weights_of_another_release_are_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"model.other": torch.zeros(2)}, folder_of(tmp_path) / "model.safetensors")
    with pytest.raises(StartFailed, match="no weights for 2 of its tensors"):
        await new(tmp_path).start()
