"""The same answer as server-sent events."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from cluster.errors import ContextTooLong, EngineFailure
from cluster.types import ChatCall
from deployments.gateway.principal import LOCAL, Asker
from deployments.gateway.rag.wire import QuestionRequest
from tests.unit.gateway.conftest import LocalModel, started
from tests.unit.gateway.rag.conftest import Api, Wide
from tests.unit.gateway.rag.passages import Shelf, passage
from tests.unit.gateway.responses.conftest import chunk, ended

BRIDGE = "The toll of the Amber Bridge is three copper coins."
SMALL = {"answer_tokens": 8}


def events_of(answer: httpx.Response) -> list[tuple[str, Any]]:
    found = []
    for block in answer.text.split("\n\n")[:-1]:
        kind, data = block.split("\n")
        found.append((kind.removeprefix("event: "), json.loads(data.removeprefix("data: "))))
    return found


def said(*pieces: str) -> list[bytes]:
    return [*(chunk({"content": piece}) for piece in pieces), ended("stop")]


async def test_deltas_come_first_then_citations_then_all_of_it(api: Callable[..., Api]) -> None:
    asked = api(Wide(said("\n Three", " copper", " coins", ". ", "\n")), Shelf([passage(BRIDGE)]), documents=SMALL)
    answer = await asked.query(stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = events_of(answer)
    assert [kind for kind, _ in events] == ["delta"] * 4 + ["citations", "done"]
    assert "".join(data["text"] for _, data in events[:4]) == "Three copper coins."
    cited, done = events[-2][1], events[-1][1]
    assert cited == {"citations": done["citations"], "unverified_quotes": []}
    assert cited["citations"][0]["quotes"][0]["text"] == "three copper coins"
    assert (done["answer"], done["finish_reason"], done["abstained"]) == ("Three copper coins.", "stop", False)
    assert done["usage"] == {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


async def test_a_stream_ends_with_what_the_whole_answer_is(api: Callable[..., Api], model: LocalModel) -> None:
    asked = api(model, Shelf([passage(BRIDGE), passage("The mill.", cosine=0.5)]), documents=SMALL)
    whole = (await asked.query(max_tokens=8)).json()
    assert events_of(await asked.query(max_tokens=8, stream=True))[-1] == ("done", whole)


async def test_what_nothing_is_found_for_is_a_stream_too(api: Callable[..., Api], model: LocalModel) -> None:
    events = events_of(await api(model).query(stream=True))
    assert [kind for kind, _ in events] == ["delta", "citations", "done"]
    assert events[0][1] == {"text": "The documents don't say."}
    assert events[2][1]["abstained"]


async def test_passages_are_dropped_before_the_first_word(api: Callable[..., Api]) -> None:
    class Narrow(LocalModel):
        async def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
            if json.loads(call.body)["messages"][0]["content"].count("\n[") > 1:
                raise ContextTooLong("too long")
            async for item in super().stream(call):
                yield item

    narrow = Narrow((await started()).engine)
    narrow.engine._context_length = 4096
    events = events_of(await api(narrow, Shelf([passage(BRIDGE)] * 3), documents=SMALL).query(stream=True))
    assert len(events[-1][1]["citations"]) == 1


async def test_a_client_that_leaves_ends_the_generation(api: Callable[..., Api]) -> None:
    model = await started(token_delay_s=0.001, tokens=10_000)
    model.engine._context_length = 100_000
    asked = api(model, Shelf([passage(BRIDGE)]), documents=SMALL)
    wanted = QuestionRequest(query="toll", stream=True, max_tokens=10_000)
    events = asked.answers.events(wanted, Asker(principal=LOCAL, request_id="r"))
    assert (await anext(events)).startswith(b"event: delta")
    assert model.engine.running == 1
    await events.aclose()
    assert model.engine.running == 0
    (visit,) = asked.chats.records.visits  # type: ignore[attr-defined]
    assert visit.outcome == "cancelled"


@pytest.mark.parametrize("error", [ContextTooLong("too long"), EngineFailure("broken")])
async def test_an_error_before_the_first_word_has_its_own_status(api: Callable[..., Api], error: Any) -> None:
    class Broken(LocalModel):
        async def stream(self, call: ChatCall) -> AsyncIterator[bytes]:
            raise error
            yield b""

    asked = api(Broken((await started()).engine), Shelf([passage(BRIDGE)]), documents=SMALL)
    answer = await asked.query(stream=True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (error.status, error.code)


@pytest.mark.parametrize(
    ("chunks", "code"),
    [
        (said("Three")[:1], "replica_lost"),
        ([*said("Three")[:1], b'data: {"error": {"message": "gone"}}\n\n'], "engine_error"),
    ],
)
async def test_a_stream_that_breaks_says_so_last(api: Callable[..., Api], chunks: list[bytes], code: str) -> None:
    events = events_of(await api(Wide(chunks), Shelf([passage(BRIDGE)]), documents=SMALL).query(stream=True))
    assert [kind for kind, _ in events] == ["delta", "error"]
    assert events[1][1]["error"]["code"] == code
