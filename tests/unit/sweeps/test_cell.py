"""Cells run against the scripted engine in this process: the engine is real, only Serve is missing."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from cluster.engines.scripted import ScriptedEngine
from cluster.errors import BadRequest, Overloaded, ReplicaLost
from cluster.settings.engines import ScriptedSettings
from cluster.stores.runs import schema
from cluster.types import ChatAnswer, ChatCall, EngineTiming, ModelCard, Priority
from pipelines.sweeps import backoff
from pipelines.sweeps.cell import CellRunner, body_of
from pipelines.sweeps.grounding import Ground
from pipelines.sweeps.plan import Cell, Plan
from pipelines.sweeps.spec import read_spec
from pipelines.sweeps.width import Width

SPEC = {
    "name": "x",
    "models": ["m"],
    "prompts": [{"text": "one two three.", "system": "be brief"}],
    "parameters": {"temperature": 0, "max_tokens": 5},
}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_WAIT_S", 0.0)


def the_cell(**parameters: Any) -> Cell:
    spec = {**SPEC, "parameters": {"temperature": 0, "max_tokens": 5, **parameters}}
    return Plan(spec=read_spec(spec)).cell(0)


class Model:
    """A scripted engine behind failures. failures: raised by the first calls, in order."""

    def __init__(self, *failures: Exception, **script: Any) -> None:
        self.engine = ScriptedEngine(ScriptedSettings(**script), "m")
        self.failures = list(failures)
        self.calls: list[ChatCall] = []

    async def stream(self, model: str, call: ChatCall) -> AsyncIterator[bytes]:
        self.calls.append(call)
        if self.failures:
            raise self.failures.pop(0)
        async for event in self.engine.stream(call):
            yield event

    async def whole(self, model: str, call: ChatCall) -> AsyncIterator[ChatAnswer]:
        """As a replica of vLLM answers: whole, and it says when it had the first token."""
        self.calls.append(call)
        body = await self.engine.chat(call)
        yield ChatAnswer(body=body, timing=EngineTiming(queue_s=0.001, prefill_s=0.002), people=True)

    async def run(
        self,
        cell: Cell,
        *,
        engine: str = "scripted",
        retries: int = 2,
        timeout_s: float = 5,
        width: Width | None = None,
        ground: Ground | None = None,
    ) -> Any:
        await self.engine.start()
        card = ModelCard(id="m", engine=engine, revision="r1", created=1, capabilities=self.engine.capabilities)
        runner = CellRunner(
            self.stream if engine == "scripted" else self.whole,
            {"m": width or Width(2)},
            cards={"m": card},
            retries=retries,
            timeout_s=timeout_s,
            ground=ground,
        )
        return await runner.run(cell)


async def test_a_cell_becomes_a_row_of_the_schema() -> None:
    model = Model()
    row = await model.run(the_cell())
    assert set(row) <= set(schema().names)
    assert (row["text"], row["finish_reason"]) == ("one two three.", "stop")
    assert (row["completion_tokens"], row["prompt_tokens"]) == (3, 5)
    assert (row["completeness"], row["completeness_metric"]) == (100, "completeness/1")
    assert (row["model_revision"], row["engine"], row["attempts"]) == ("r1", "scripted", 1)
    assert 0 < row["ttft_ms"] <= row["latency_ms"]
    assert "error_code" not in row
    assert model.calls[0].priority is Priority.BACKGROUND


async def test_the_request_carries_what_the_cell_says_and_nothing_else() -> None:
    cell = the_cell(top_k=3)
    body = json.loads(body_of(cell, stream=True))
    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "one two three."}],
        "temperature": 0,
        "max_tokens": 5,
        "top_k": 3,
        "seed": cell.seed,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    del body["stream"], body["stream_options"]
    assert json.loads(body_of(cell)) == body


async def test_an_engine_that_times_whole_answers_is_not_asked_to_stream() -> None:
    width, model = Width(8, 2), Model()
    row = await model.run(the_cell(), engine="vllm", width=width)
    assert "stream" not in json.loads(model.calls[0].body)
    assert (row["text"], row["finish_reason"]) == ("one two three.", "stop")
    assert (row["completion_tokens"], row["prompt_tokens"]) == (3, 5)
    assert row["ttft_ms"] == pytest.approx(3)
    assert row["latency_ms"] > 0
    assert width.now == 2  # it tells of people, too


async def test_a_failure_that_a_retry_helps_is_tried_again() -> None:
    row = await Model(ReplicaLost("gone"), ReplicaLost("gone")).run(the_cell())
    assert row["attempts"] == 3
    assert "error_code" not in row


async def test_a_cell_that_keeps_failing_becomes_an_error_row() -> None:
    row = await Model(*[ReplicaLost("gone")] * 9).run(the_cell(), retries=2)
    assert (row["error_code"], row["attempts"]) == ("replica_lost", 3)
    assert row.get("text") is None


async def test_a_failure_that_no_retry_helps_is_not_tried_again() -> None:
    model = Model(BadRequest("no"))
    row = await model.run(the_cell())
    assert (row["error_code"], len(model.calls)) == ("invalid_request", 1)


async def test_a_full_model_fails_no_cell_and_narrows_the_sweep() -> None:
    width = Width(8)
    row = await Model(*[Overloaded("full")] * 3).run(the_cell(), retries=0, width=width)
    assert (row["attempts"], width.now) == (1, 2)


async def test_a_replica_that_tells_of_people_narrows_the_sweep_and_its_answer_is_read_as_ever() -> None:
    class Shared(Model):
        people = True

        async def stream(self, model: str, call: ChatCall) -> AsyncIterator[Any]:
            events = super().stream(model, call)
            yield ChatAnswer(body=await anext(events), timing=EngineTiming(), people=self.people)
            async for event in events:
                yield event

    width, model = Width(8, 2), Shared()
    model.people = False
    await model.run(the_cell(), width=width)
    assert width.now == 8
    model.people = True
    row = await model.run(the_cell(), width=width)
    assert (row["text"], width.now) == ("one two three.", 2)


async def test_a_cell_that_takes_too_long_is_an_error_row_and_its_generation_stops() -> None:
    model = Model(token_delay_s=5, tokens=5)
    row = await model.run(the_cell(), timeout_s=0.05)
    assert row["error_code"] == "generation_timeout"
    await asyncio.sleep(0)
    assert model.engine.running == 0


async def test_an_unforeseen_failure_is_a_row_too() -> None:
    row = await Model(KeyError("usage")).run(the_cell())
    assert (row["error_code"], row["error_message"]) == ("internal_error", "KeyError: 'usage'")


async def test_an_error_inside_the_stream_is_no_answer() -> None:
    row = await Model(fail_after_tokens=2).run(the_cell(), retries=0)
    assert row["error_code"] == "engine_error"
