import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cluster.engines.scripted import ScriptedEngine
from cluster.errors import EngineDead, EngineFailure
from cluster.settings.engines import ScriptedSettings
from tests.unit.engines.asking import PROMPT, answer, call, events, idle, text_of
from tests.unit.engines.completion_promises import CompletionPromises


async def started(**settings: Any) -> ScriptedEngine:
    engine = ScriptedEngine(ScriptedSettings(**settings), "spark", 2048)
    await engine.start()
    return engine


class TestScriptedCompletions(CompletionPromises):
    takes_tokens = False

    @pytest.fixture
    async def engine(self) -> AsyncIterator[ScriptedEngine]:
        engine = await started()
        yield engine
        await engine.stop()


async def test_it_echoes_the_last_user_message() -> None:
    found = await answer(await started())
    assert found["choices"][0]["message"]["content"] == PROMPT
    assert found["usage"]["completion_tokens"] == len(PROMPT.split())


async def test_it_answers_a_question_from_the_first_passage() -> None:
    prompt = "Answer from the passages.\n[1] The sun is a star.\nIt shines.\n[2] Mice eat.\nQuestion: What is it?"
    found = await answer(await started(), text=prompt)
    assert found["choices"][0]["message"]["content"] == "The sun is a star. It shines. [1]"


async def test_a_message_without_words_gets_an_answer_too() -> None:
    assert (await answer(await started(), text=" "))["usage"]["completion_tokens"] == 1


async def test_the_number_of_tokens_can_be_set() -> None:
    found = await answer(await started(tokens=50))
    assert found["usage"]["completion_tokens"] == 50
    assert found["choices"][0]["finish_reason"] == "stop"


async def test_a_seed_moves_words_and_keeps_them() -> None:
    found = (await answer(await started(), seed=5, temperature=1))["choices"][0]["message"]["content"]
    assert found != PROMPT
    assert sorted(found.split()) == sorted(PROMPT.split())


async def test_temperature_0_moves_nothing() -> None:
    assert (await answer(await started(), seed=5, temperature=0))["choices"][0]["message"]["content"] == PROMPT


async def test_choices_of_one_call_differ() -> None:
    found = await answer(await started(), seed=5, temperature=1, n=3)
    assert len({choice["message"]["content"] for choice in found["choices"]}) > 1


async def test_a_smaller_top_p_moves_less() -> None:
    engine = await started()
    words = PROMPT.split()

    async def moved(top_p: float) -> int:
        found = await answer(engine, seed=3, temperature=1, top_p=top_p)
        order = found["choices"][0]["message"]["content"].split()
        return sum(one != other for one, other in zip(order, words, strict=True))

    assert await moved(0.05) < await moved(1.0)


async def test_delays_are_kept() -> None:
    engine = await started(first_token_delay_s=0.05, token_delay_s=0.01)
    start = time.perf_counter()
    stream = engine.stream(call(stream=True, max_tokens=5))
    await anext(stream)
    assert time.perf_counter() - start >= 0.05
    assert [event async for event in stream][-1] == b"data: [DONE]\n\n"
    assert time.perf_counter() - start >= 0.09


async def test_every_nth_call_fails() -> None:
    engine = await started(fail_every=3)
    failed = []
    for number in range(1, 7):
        try:
            await engine.chat(call())
        except EngineFailure:
            failed.append(number)
    assert failed == [3, 6]


async def test_a_stream_can_break_in_the_middle() -> None:
    engine = await started(fail_after_tokens=3)
    stream = engine.stream(call(stream=True))
    assert len([await anext(stream) for _ in range(4)]) == 4  # the role, then three tokens
    with pytest.raises(EngineFailure):
        await anext(stream)
    assert engine.running == 0


async def test_a_failure_before_the_first_token_comes_before_any_event() -> None:
    with pytest.raises(EngineFailure):
        await anext((await started(fail_every=1)).stream(call(stream=True)))


async def test_it_can_die_and_stays_dead() -> None:
    engine = await started(die_after=2)
    await engine.chat(call())
    await engine.check_health()
    for _ in range(2):
        with pytest.raises(EngineDead):
            await engine.chat(call())
        with pytest.raises(EngineDead):
            await engine.check_health()


async def test_it_serves_only_once_started() -> None:
    engine = ScriptedEngine(ScriptedSettings(), "spark")
    with pytest.raises(EngineDead):
        await engine.check_health()
    await engine.start()
    await engine.check_health()


async def test_calls_run_side_by_side() -> None:
    engine = await started(first_token_delay_s=0.3)
    tasks = [asyncio.create_task(engine.chat(call())) for _ in range(10)]
    await asyncio.sleep(0.01)
    assert engine.running == 10
    start = time.perf_counter()
    await asyncio.gather(*tasks)
    assert time.perf_counter() - start < 2  # one after the other, 3
    await idle(engine, 5)


async def test_a_split_stop_string_is_never_shown() -> None:
    chunks = await events(await started(), text="one two three four", stop="o three")
    assert text_of(chunks) == "one tw"


def test_its_revision_follows_its_settings() -> None:
    one, two = (ScriptedEngine(ScriptedSettings(tokens=n), "spark").revision for n in (1, 2))
    assert one != two
