"""The shell around models that make one answer at a time, over one that needs no library."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest

from cluster.engines.images import Picture
from cluster.engines.relay import Relay
from cluster.engines.sampling import Sampling, defaults
from cluster.engines.threaded import Prompt, ThreadedEngine
from cluster.engines.tokenizing import Tokenizing, within
from cluster.errors import EngineFailure, StartFailed, UnsupportedParameter
from cluster.settings.generation import GenerationDefaults
from cluster.settings.limits import LimitSettings
from cluster.types import Priority, Tokenized
from tests.unit.engines.asking import answer, call, idle
from tests.unit.engines.completion_promises import CompletionPromises, goes_on, tokens
from tests.unit.waiting import until

WORDS = (
    "the",
    "heliostat",
    "turns",
    "its",
    "mirror",
    "after",
    "the",
    "sun",
    "and",
    "sends",
    "light",
    "to",
    "one",
    "tower",
)


class Words:
    """A model that says words, drawn where it is to be drawn. One token is one word."""

    context_length = 2000  # the promises ask for up to 1,800 tokens
    images = False
    raw = True
    revision = "0123456789ab"
    parameters = frozenset({"top_k"})
    defaults = defaults(GenerationDefaults(), {})

    def __init__(self) -> None:
        self.made = 0
        self.order: list[str] = []
        self.fails: Exception | None = None
        self.speaks = threading.Event()  # cleared, an answer has begun and says nothing yet
        self.speaks.set()

    def prepare(self, messages: list[dict[str, Any]], pictures: tuple[Picture, ...]) -> Prompt:
        parts = [message["content"] for message in messages]
        text = " ".join(part if isinstance(part, str) else part[0]["text"] for part in parts)
        return Prompt(tokens=len(text.split()), inputs=text)

    def prepare_raw(self, prompt: str | tuple[int, ...]) -> Prompt:
        text = prompt if isinstance(prompt, str) else self.detokenize(prompt)
        return Prompt(tokens=len(text.split()), inputs=text)

    def tokenize(self, wanted: Tokenizing) -> Tokenized:
        said = wanted.prompt or " ".join(message["content"] for message in wanted.messages or ())
        tokens = tuple(WORDS.index(word) for word in said.split())
        return Tokenized(tokens=tokens, texts=tuple(said.split()) if wanted.return_token_strs else None)

    def detokenize(self, tokens: Sequence[int]) -> str:
        return " ".join(WORDS[token] for token in within(tokens, len(WORDS)))

    def generate(self, prompt: Prompt, wanted: Sampling, relay: Relay) -> None:
        self.order.append(prompt.inputs)
        if self.fails is not None:
            raise self.fails
        self.speaks.wait(20)
        draw = random.Random(wanted.seed)
        for place in range(wanted.max_tokens):
            if relay.halted:
                break
            self.made += 1
            word = WORDS[place % len(WORDS)] if wanted.temperature == 0 else draw.choice(WORDS)
            relay.say(word if place == 0 else f" {word}")
            threading.Event().wait(0.0002)
        relay.end("length")


def threaded(load: Callable[[], Any]) -> ThreadedEngine:
    return ThreadedEngine(load, "spark", kind="words", limits=LimitSettings())


async def started(load: Callable[[], Any]) -> ThreadedEngine:
    engine = threaded(load)
    await engine.start()
    return engine


@pytest.fixture
def words() -> Words:
    return Words()


@pytest.fixture
async def engine(words: Words) -> AsyncIterator[ThreadedEngine]:
    engine = await started(lambda: words)
    yield engine
    await engine.stop()


class TestThreadedCompletions(CompletionPromises):
    pass


async def test_a_client_that_goes_halts_the_thread(engine: ThreadedEngine, words: Words) -> None:
    task = asyncio.create_task(engine.chat(call(max_tokens=1500)))
    await until(lambda: words.made)
    task.cancel()
    await asyncio.wait({task})
    await idle(engine, 10)
    made = words.made
    assert made < 1500
    await asyncio.sleep(0.02)
    assert words.made == made


async def test_interactive_calls_go_before_background_ones(engine: ThreadedEngine, words: Words) -> None:
    words.speaks.clear()
    asked = [asyncio.create_task(engine.chat(call("first", max_tokens=60)))]
    await until(lambda: words.order[-1:] == ["first"])
    asked.append(asyncio.create_task(engine.chat(call("later", max_tokens=2, priority=Priority.BACKGROUND))))
    await until(lambda: engine.running == 2)
    asked.append(asyncio.create_task(engine.chat(call("now", max_tokens=2))))
    await until(lambda: engine.running == 3)
    words.speaks.set()
    await asyncio.gather(*asked)
    assert words.order[-3:] == ["first", "now", "later"]


async def test_a_failure_is_one_requests_and_the_next_is_answered(engine: ThreadedEngine, words: Words) -> None:
    words.fails = RuntimeError("out of\nmemory")
    with pytest.raises(EngineFailure, match="spark failed: out of memory"):
        await engine.chat(call())
    words.fails = None
    await engine.check_health()
    assert await answer(engine, max_tokens=2)


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "tool", "content": "x", "tool_call_id": "1"}, "messages.0.tool_call_id"),
        ({"role": "assistant", "content": "x", "tool_calls": [{}]}, "messages.0.tool_calls"),
    ],
)
async def test_messages_of_tools_are_refused_by_name(engine: ThreadedEngine, message: Any, param: str) -> None:
    with pytest.raises(UnsupportedParameter) as caught:
        await answer(engine, messages=[message])
    assert caught.value.param == param


async def test_a_model_that_cannot_be_loaded_is_named_in_one_line() -> None:
    def load() -> Any:
        raise ValueError("first\nsecond")

    with pytest.raises(StartFailed, match="words cannot load spark: first second"):
        await started(load)


async def test_a_model_with_a_template_of_its_own_takes_no_raw_prompt(words: Words) -> None:
    words.raw = False
    engine = await started(lambda: words)
    assert engine.capabilities.completion == frozenset()
    with pytest.raises(UnsupportedParameter) as caught:
        await goes_on(engine)
    assert caught.value.param == "prompt"
    assert (await tokens(engine, prompt="the sun")).count == 2
    await engine.stop()
