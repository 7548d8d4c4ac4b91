from cluster.types import ChatCall, Priority
from deployments.fleet.people import HEARD_S, People


def call(priority: Priority) -> ChatCall:
    return ChatCall(body=b"{}", request_id="r", priority=priority)


def test_people_are_there_for_a_while_after_their_last_call() -> None:
    now = 0.0
    people = People(clock=lambda: now)
    assert not people.seen
    people.heard(call(Priority.INTERACTIVE))
    now += HEARD_S - 0.1
    assert people.seen
    now += 0.1
    assert not people.seen


def test_background_calls_are_nobody() -> None:
    people = People()
    people.heard(call(Priority.BACKGROUND))
    assert not people.seen
