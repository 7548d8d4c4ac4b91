import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cluster.runtime.interrupts import SIGNALS, Interrupts


@pytest.fixture
def interrupts() -> Iterator[Interrupts]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    made = Interrupts()
    made.listen()
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


@contextmanager
def wait_that_is_interrupted(interrupts: Interrupts) -> Iterator[None]:
    with pytest.raises(KeyboardInterrupt), interrupts.heard():
        yield


@pytest.mark.parametrize("number", SIGNALS)
def test_before_anything_is_made_an_interrupt_is_raised_at_once(interrupts: Interrupts, number: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    assert interrupts.asked()


@pytest.mark.parametrize("number", SIGNALS)
def test_on_hold_it_is_only_noted(interrupts: Interrupts, number: int) -> None:
    interrupts.hold()
    assert not interrupts.asked()
    signal.raise_signal(number)
    assert interrupts.asked()


def test_one_that_came_on_hold_ends_the_next_wait_before_it_begins(interrupts: Interrupts) -> None:
    interrupts.hold()
    signal.raise_signal(signal.SIGTERM)
    wait = interrupts.heard()
    with pytest.raises(KeyboardInterrupt):
        wait.__enter__()  # by hand: `with` would hide which half raised
    signal.raise_signal(signal.SIGTERM)  # into the cleaning up, which goes on
    assert interrupts.asked()


def test_a_wait_ends_where_it_is_and_what_comes_after_is_noted(interrupts: Interrupts) -> None:
    interrupts.hold()
    with wait_that_is_interrupted(interrupts):
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it went on")
    signal.raise_signal(signal.SIGINT)  # into the cleaning up, which goes on
    assert interrupts.asked()


def test_the_second_of_two_at_once_is_noted(interrupts: Interrupts) -> None:
    interrupts.hold()
    cleaned = False
    with wait_that_is_interrupted(interrupts):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            signal.raise_signal(signal.SIGTERM)
            cleaned = True
            raise
    assert cleaned


def test_one_that_a_library_swallows_ends_the_wait_at_its_next_step(interrupts: Interrupts) -> None:
    interrupts.hold()
    steps = 0
    with wait_that_is_interrupted(interrupts):
        for _ in range(3):
            interrupts.check()
            steps += 1
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                continue  # as a finaliser's is
    assert steps == 1


def test_one_that_is_swallowed_in_the_last_step_still_counts(interrupts: Interrupts) -> None:
    with wait_that_is_interrupted(interrupts):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            interrupts.hold()
    assert interrupts.asked()


def test_without_an_interrupt_nothing_is_raised(interrupts: Interrupts) -> None:
    with interrupts.heard():
        interrupts.check()
    assert not interrupts.asked()


def test_nohup_is_honoured_and_an_ignored_sigint_is_not(interrupts: Interrupts) -> None:
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    interrupts.listen()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
