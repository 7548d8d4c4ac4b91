"""What a replica says of its own time, beside bytes that it leaves as they are."""

import json
from typing import Any

from cluster.settings.models import ModelSettings
from cluster.timing import Watch, listen, tell
from cluster.types import ChatAnswer, ChatCall, EngineTiming
from deployments.fleet.replica import ModelReplica
from tests.unit.gateway.conftest import settings_with

BODY = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}).encode()
CALL = ChatCall(body=BODY, request_id="r")


class Replica(ModelReplica):
    """Nobody awaits what a collected object does; Serve does."""

    def __del__(self) -> None: ...  # type: ignore[override]


async def replica_of(**script: Any) -> ModelReplica:
    model = ModelSettings.model_validate({"id": "echo", "engine": {"kind": "scripted", **script}})
    replica = Replica.__new__(Replica)
    await replica.__init__(model, settings_with())  # type: ignore[misc]  # as Serve does
    return replica


async def test_a_whole_answer_comes_with_the_engines_prefill_and_its_own_time() -> None:
    replica = await replica_of(first_token_delay_s=0.02, token_delay_s=0.01)
    answer = await replica.chat(CALL)
    assert json.loads(answer.body)["choices"][0]["message"]["content"] == "one two three"
    assert answer.timing.prefill_s is not None
    assert answer.timing.spent_s is not None
    assert 0.02 <= answer.timing.prefill_s <= answer.timing.spent_s - 0.02
    assert answer.timing.queue_s is None


async def test_only_the_first_item_of_a_stream_carries_timing() -> None:
    replica = await replica_of(first_token_delay_s=0.02, token_delay_s=0.01)
    first, *rest = [item async for item in replica.stream(CALL)]
    assert isinstance(first, ChatAnswer)
    assert all(isinstance(item, bytes) for item in rest)
    assert first.timing.prefill_s is not None
    assert first.timing.prefill_s >= 0.02
    stream = first.body + b"".join(rest)  # type: ignore[arg-type]
    assert stream.startswith(b"data: {")
    assert stream.endswith(b"data: [DONE]\n\n")


async def test_of_a_silent_engine_a_streams_prefill_is_all_until_its_first_event() -> None:
    watch = Watch()
    opened = watch.opened()
    assert opened.prefill_s == opened.spent_s
    assert watch.whole().prefill_s is None


async def test_the_last_word_counts() -> None:
    heard: list[EngineTiming] = []
    listen(heard.append)
    tell(EngineTiming(prefill_s=1.0))
    watch = Watch()
    tell(EngineTiming(prefill_s=2.0))
    tell(EngineTiming(prefill_s=3.0, queue_s=1.0))
    assert len(heard) == 1
    assert (watch.whole().prefill_s, watch.whole().queue_s) == (3.0, 1.0)
