"""A replica that dies takes its streams with it: that is one failure of its model, not one for each of them."""

from contextlib import ExitStack

import pytest

from cluster.errors import EngineFailure, HeliostatError, ReplicaLost
from cluster.settings.routing import BreakerSettings
from deployments.gateway.routing.breakers import Asking, Breakers


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.001  # no two moments are the same
        return self.now


def breakers() -> Breakers:
    return Breakers(BreakerSettings(failures=3), clock=Clock())


def lost(begun: int, asked: Breakers, error: HeliostatError, *, answered: bool = True) -> None:
    """So many requests at once, all of which end with the error."""
    open_ones = []
    for _ in range(begun):
        stack = ExitStack()
        asking: Asking = stack.enter_context(asked.asking("m"))
        if answered:
            asking.answered()
        open_ones.append(stack)
    for stack in open_ones:
        assert not stack.__exit__(type(error), error, None)


def test_streams_that_are_lost_together_are_one_failure() -> None:
    asked = breakers()
    lost(20, asked, ReplicaLost("gone"))
    assert asked.states() == {"m": "closed"}
    lost(20, asked, ReplicaLost("gone"))
    assert asked.states() == {"m": "closed"}


def test_losses_one_after_another_open_the_breaker() -> None:
    asked = breakers()
    for _ in range(3):
        lost(20, asked, ReplicaLost("gone"))
    assert asked.states() == {"m": "open"}


@pytest.mark.parametrize(
    ("error", "answered"),
    [(ReplicaLost("gone"), False), (EngineFailure("broken"), True), (EngineFailure("broken"), False)],
)
def test_requests_that_nobody_answered_or_an_engine_failed_on_count_each(
    error: HeliostatError, answered: bool
) -> None:
    asked = breakers()
    lost(3, asked, error, answered=answered)
    assert asked.states() == {"m": "open"}
