"""vLLM itself on the built-in model, in this process: no Ray."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio

from cluster.engines.source import project_root
from cluster.engines.vllm import VllmEngine
from cluster.errors import EngineDead, StartFailed
from cluster.settings.engines import VllmSettings
from cluster.types import Priority
from tests.unit.engines.chat_promises import ChatPromises, EndPromises, answer, call, idle

MODEL = project_root() / "models" / "spark-chat"

pytestmark = [
    pytest.mark.live,
    pytest.mark.asyncio(loop_scope="module"),
    # The warnings are those of vLLM's and torch's own modules as they are imported.
    pytest.mark.filterwarnings("ignore"),
]


def new() -> VllmEngine:
    return VllmEngine(VllmSettings(source="models/spark-chat"), "spark", source=str(MODEL))


@pytest_asyncio.fixture(scope="module", loop_scope="module", name="engine")
async def _engine() -> AsyncIterator[VllmEngine]:
    engine = new()
    await engine.start()
    yield engine
    await engine.stop()


class TestVllm(ChatPromises):
    pass


async def test_it_runs_in_two_processes_and_no_more(engine: VllmEngine) -> None:
    names = [child.name() for child in psutil.Process().children(recursive=True)]
    assert len([name for name in names if "VLLM" in name]) == 1


async def test_seeded_long_prompts_under_load_do_not_kill_it(engine: VllmEngine) -> None:
    """vLLM 0.29's CPU engine died of a prompt with a seed that it prefilled in pieces, and all requests with it."""
    slots = asyncio.Semaphore(64)
    # Each prompt has a beginning of its own, so that no cached prefix makes it short.
    words = ["sun", "mirror", "light", "grid", "tower", "heat", "wind", "night"]

    async def one(number: int) -> int:
        text = f"{number} " + " ".join(words[(number + at) % len(words)] for at in range(300 + 8 * (number % 50)))
        async with slots:
            found = await answer(engine, text=text, seed=number, temperature=1, max_tokens=16)
        return int(found["usage"]["prompt_tokens"])

    assert engine._running is not None
    config = engine._running.engine.vllm_config
    assert not config.scheduler_config.enable_chunked_prefill
    assert config.scheduler_config.max_num_batched_tokens >= config.model_config.max_model_len
    lengths = await asyncio.gather(*[one(number) for number in range(200)])
    assert len(lengths) == 200
    assert max(lengths) > 512
    await engine.check_health()


async def test_background_calls_leave_interactive_ones_an_answer(engine: VllmEngine) -> None:
    """Background calls fill more than all slots; an interactive one goes before those that wait."""
    background = [
        asyncio.create_task(engine.chat(call(priority=Priority.BACKGROUND, max_tokens=200, ignore_eos=True)))
        for _ in range(128)
    ]
    await asyncio.sleep(0.2)
    await engine.chat(call(max_tokens=4))
    waiting = sum(not task.done() for task in background)
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    assert waiting > 0
    await idle(engine, 5)


async def test_bad_samplings_are_refused_without_a_trace(engine: VllmEngine) -> None:
    from cluster.errors import BadRequest

    for wrong in (
        {"top_k": -5},
        {"logit_bias": {"9999999": 1}},
        {"allowed_token_ids": [9_999_999]},
        {"logprobs": True, "top_logprobs": 50},
        {"min_tokens": 9, "max_tokens": 2},
        {"repetition_penalty": -1},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
    ):
        with pytest.raises(BadRequest):
            await answer(engine, **wrong)
    await engine.check_health()


async def test_json_comes_when_json_is_asked_for(engine: VllmEngine) -> None:
    import json

    schema = {
        "type": "object",
        "properties": {"ok": {"type": "boolean"}},
        "required": ["ok"],
        "additionalProperties": False,  # or the model goes on with keys of its own
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}
    found = await answer(engine, response_format=wanted, max_tokens=64, temperature=0)
    assert isinstance(json.loads(found["choices"][0]["message"]["content"])["ok"], bool)


async def test_a_dead_core_is_known_at_once() -> None:
    engine = new()
    await engine.start()
    try:
        ours = [child for child in psutil.Process().children() if "VLLM" in child.name()]
        newest = max(ours, key=lambda child: child.create_time())
        task = asyncio.create_task(engine.chat(call(max_tokens=1500, ignore_eos=True)))
        await asyncio.sleep(0.3)
        newest.kill()
        start = time.perf_counter()
        with pytest.raises(EngineDead):
            await task
        with pytest.raises(EngineDead):
            await engine.check_health()
        assert time.perf_counter() - start < 10
        with pytest.raises(EngineDead):
            await engine.chat(call())
    finally:
        await engine.stop()


async def test_a_folder_without_a_model_fails_to_start_by_name(tmp_path: os.PathLike[str]) -> None:
    engine = VllmEngine(VllmSettings(source="x"), "spark", source=str(tmp_path))
    with pytest.raises(StartFailed, match=str(tmp_path)):
        await engine.start()


async def test_the_core_goes_with_a_killed_parent() -> None:
    program = f"""
import asyncio, psutil, time
from cluster.engines.vllm import VllmEngine
from cluster.settings.engines import VllmSettings
async def main():
    engine = VllmEngine(VllmSettings(source="x"), "spark", source={str(MODEL)!r})
    await engine.start()
    print([c.pid for c in psutil.Process().children() if "VLLM" in c.name()][0], flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""
    parent = subprocess.Popen(  # noqa: ASYNC220  # returns at once
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=project_root()
    )
    assert parent.stdout is not None
    core = int(await asyncio.to_thread(parent.stdout.readline))
    assert psutil.pid_exists(core)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    gone = time.perf_counter() + 5
    while psutil.pid_exists(core) and psutil.Process(core).status() != psutil.STATUS_ZOMBIE:
        assert time.perf_counter() < gone, "the core outlived its parent"
        await asyncio.sleep(0.05)


class TestVllmEnds(EndPromises):  # last: it stops the engine of all tests above
    pass
