"""Interactive requests begin in a step without background ones, and those begin a few at a time.

By vLLM's priorities a request goes before others where there are more than slots or memory. But with all slots
taken it waits for somebody's answer to end; and a first token waits for all that its step computes: a token of
whatever runs, and the prompts of what begins. A sweep's cells are alike, so they end together, and as many prompts
begin in one step. Here some slots are for interactive requests alone; a step whose waiting requests go before some
of the running ones leaves those out, never two such steps one after the other, so that people who come all the time
slow background work down and don't stop it; and background prompts begin by some tokens a step. On a CPU, where a
step is the longer the more it computes; the README has the figures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, takewhile
from typing import Any
from weakref import WeakKeyDictionary

INTERACTIVE = 0  # vLLM's priorities: a lower one goes first, `vllm_request.PRIORITIES`
PROMPT_TOKENS = 256  # of background prompts that begin in one step; one is never too long
RESERVED = 8  # of so many slots one is for interactive requests alone: without one they wait for an answer to end


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a step may do. left_out: running requests that wait for the next. begin: requests that may begin."""

    left_out: Sequence[Any]
    begin: int


def step_of(
    running: Sequence[Any],
    waiting: Iterable[Any],
    *,
    slots: int,
    reserved: int,
    blocks: int,
    block_size: int,
    again: bool,
) -> Step:
    """The next step. running, waiting: vLLM's requests, the waiting ones in the order in which they begin.

    slots: requests that may be added. reserved: of those, for interactive ones. blocks: of the cache that are free.
    again: the step before left some out.

    None is left out where those that stay may need its memory: vLLM could only take it from another that stays.
    """
    coming = list(islice(waiting, max(slots, 0)))
    if coming and not again:
        left_out = [request for request in running if request.priority > coming[0].priority]
        if left_out:
            least = min(request.priority for request in left_out)
            first = list(takewhile(lambda request: request.priority < least, coming))
            needed = len(running) - len(left_out) + sum(2 + request.num_tokens // block_size for request in first)
            if needed <= blocks:
                return Step(left_out=left_out, begin=len(first))
    return Step(left_out=(), begin=_few(coming, slots - reserved))


def _few(coming: Sequence[Any], slots: int) -> int:
    """How many of those who wait begin together: all interactive ones; background ones by slots and tokens."""
    tokens = 0
    for number, request in enumerate(coming):
        if request.priority > INTERACTIVE:
            if number >= slots or (tokens and tokens + request.num_tokens > PROMPT_TOKENS):
                return number
            tokens += request.num_tokens
    return len(coming)


def install() -> None:
    """Have vLLM's scheduler do so, in this process and in what is forked from it. Again it changes nothing."""
    from vllm.v1.core.sched.scheduler import Scheduler

    if hasattr(Scheduler.schedule, "__wrapped__"):
        return
    plain = Scheduler.schedule
    left_out_at: WeakKeyDictionary[Any, int] = WeakKeyDictionary()  # the last such step of each scheduler

    def schedule(self: Any, *given: Any, **named: Any) -> Any:
        if not self.waiting:
            return plain(self, *given, **named)
        most = self.max_num_running_reqs
        step = step_of(
            self.running,
            self.waiting,
            slots=most - len(self.running),
            reserved=most // RESERVED,
            blocks=self.kv_cache_manager.block_pool.get_num_free_blocks(),
            block_size=self.block_size,
            again=left_out_at.get(self) == self.current_step,
        )
        if step.left_out:
            left_out_at[self] = self.current_step + 1  # which it will be
            others = set(map(id, step.left_out))
            self.running = [request for request in self.running if id(request) not in others]
        self.max_num_running_reqs = min(most, len(self.running) + self.num_waiting_for_streaming_input + step.begin)
        try:
            return plain(self, *given, **named)
        finally:
            self.running = [*step.left_out, *self.running]
            self.max_num_running_reqs = most

    schedule.__wrapped__ = plain  # type: ignore[attr-defined]
    Scheduler.schedule = schedule
