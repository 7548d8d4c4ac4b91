"""Which requests a step leaves out and lets begin. The step itself is vLLM's: a live test has it."""

from types import SimpleNamespace
from typing import Any

import pytest

from cluster.engines.vllm_priority import PROMPT_TOKENS, Step, step_of

ROOM = {"slots": 8, "reserved": 0, "blocks": 1000, "block_size": 16, "again": False}


def asked(*priorities: int, tokens: int = 20) -> list[Any]:
    """Requests of these priorities; a lower number goes first."""
    return [SimpleNamespace(priority=priority, num_tokens=tokens) for priority in priorities]


def step(running: list[Any], waiting: list[Any], **changes: Any) -> Step:
    """The step where there is room, unless said otherwise."""
    return step_of(running, waiting, **{**ROOM, **changes})


def test_all_that_goes_behind_the_one_who_comes_is_left_out_and_nothing_else_begins() -> None:
    running = asked(1, 0, 1)
    assert step(running, asked(0, 0, 1)) == Step(left_out=[running[0], running[2]], begin=2)


@pytest.mark.parametrize(
    ("running", "waiting"), [((1, 1), ()), ((), (0,)), ((0, 0), (0,)), ((1, 1), (1,)), ((0,), (1,))]
)
def test_nothing_is_left_out_for_nobody_or_for_who_goes_no_sooner(
    running: tuple[int, ...], waiting: tuple[int, ...]
) -> None:
    assert step(asked(*running), asked(*waiting)) == Step(left_out=(), begin=len(waiting))


def test_no_two_steps_one_after_the_other_leave_out() -> None:
    assert step(asked(1), asked(0), again=True) == Step(left_out=(), begin=1)


def test_without_a_slot_nobody_can_begin_so_nothing_is_left_out() -> None:
    assert step(asked(1, 1), asked(0), slots=0) == Step(left_out=(), begin=0)


def test_where_memory_is_short_nothing_is_left_out() -> None:
    """vLLM would take the memory of an interactive request, since no other stands there to give any."""
    running = asked(0, 0, 1)
    enough = 2 + (2 + 160 // 16)  # a block more for each that stays, and the prompt of the one who comes
    assert step(running, asked(0, tokens=160), blocks=enough).left_out == [running[2]]
    assert step(running, asked(0, tokens=160), blocks=enough - 1).left_out == ()


def test_only_those_who_have_a_slot_count_for_memory() -> None:
    running = asked(1)
    assert step(running, asked(0, 0, 0, tokens=160), slots=1, blocks=12) == Step(left_out=running, begin=1)


@pytest.mark.parametrize(
    ("tokens", "begin"), [(PROMPT_TOKENS // 4, 4), (PROMPT_TOKENS // 4 + 1, 3), (PROMPT_TOKENS * 9, 1)]
)
def test_background_prompts_begin_by_some_tokens_a_step_and_one_at_least(tokens: int, begin: int) -> None:
    assert step([], asked(1, 1, 1, 1, 1, tokens=tokens)).begin == begin


def test_interactive_ones_begin_all_together_whatever_waits_behind_them() -> None:
    waiting = asked(0, 0, tokens=PROMPT_TOKENS) + asked(1, 1, tokens=PROMPT_TOKENS)
    assert step([], waiting).begin == 3


def test_background_requests_leave_the_last_slots_to_interactive_ones() -> None:
    """With all slots taken an interactive request waited for the end of somebody's answer."""
    assert step(asked(1), asked(1, 1, 1, 1), slots=3, reserved=2).begin == 1
    assert step(asked(1), asked(1, 1), slots=2, reserved=2).begin == 0
    assert step([], asked(0, 0, 1), slots=3, reserved=2).begin == 2
    assert step(asked(1), asked(0, 0, 1), slots=2, reserved=2) == Step(left_out=asked(1), begin=2)
