"""vLLM's first token is told once a request, and its detokenizer is then as it was."""

from types import SimpleNamespace
from typing import Any

from cluster.engines import vllm_timing
from cluster.timing import Watch, first_token


class Detokenizer:
    def __init__(self) -> None:
        self.pieces: list[list[int]] = []

    def update(self, tokens: list[int], stopped: bool) -> str | None:
        self.pieces.append(tokens)
        return "stop" if stopped else None


class Processor:
    """As much of vLLM's output processor as is watched."""

    def __init__(self) -> None:
        self.request_states: dict[str, Any] = {}

    def add_request(self, request: Any, prompt: str | None, parent: Any = None, index: int = 0) -> None:
        self.request_states[request.request_id] = SimpleNamespace(detokenizer=Detokenizer())


def added(processor: Any, name: str) -> Detokenizer:
    processor.add_request(SimpleNamespace(request_id=name), "prompt", None, 0)
    found: Detokenizer = processor.request_states[name].detokenizer
    return found


async def test_a_whole_answers_prefill_is_known_though_its_engine_says_nothing() -> None:
    processor = Processor()
    vllm_timing.watch(processor)
    watch = Watch()
    detokenizer = added(processor, "one")
    assert watch.whole().prefill_s is None
    assert detokenizer.update([1], False) is None
    assert detokenizer.update([2], True) == "stop"
    timed = watch.whole()
    assert timed.prefill_s is not None
    assert timed.spent_s is not None
    assert 0 <= timed.prefill_s <= timed.spent_s
    assert (detokenizer.pieces, vars(detokenizer).keys()) == ([[1], [2]], {"pieces"})


async def test_of_several_choices_the_first_to_begin_counts() -> None:
    processor = Processor()
    vllm_timing.watch(processor)
    watch = Watch()
    first, second = added(processor, "0_one"), added(processor, "1_one")
    first.update([1], False)
    told = watch.whole().prefill_s
    second.update([1], False)
    assert watch.whole().prefill_s == told


def test_a_call_that_nobody_times_is_left_as_it_is() -> None:
    import contextvars

    processor = Processor()
    vllm_timing.watch(processor)
    detokenizer = contextvars.Context().run(added, processor, "one")
    assert vars(detokenizer).keys() == {"pieces"}
    assert contextvars.Context().run(first_token) is None
