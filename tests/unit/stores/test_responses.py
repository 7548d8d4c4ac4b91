from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine

from cluster.errors import ResponseNotFound
from cluster.stores.responses import LOST, Ending, Responses, StoredResponse

MOMENT = datetime(2030, 1, 1, tzinfo=UTC)
PATIENCE = timedelta(minutes=10)


@pytest.fixture
def responses(database: Engine) -> Responses:
    return Responses(database)


def stored(identity: str = "resp_1", **fields: Any) -> StoredResponse:
    status = fields.get("status", "completed")
    values = {
        "id": identity,
        "owner": "ann",
        "previous_id": None,
        "status": status,
        "input_items": [{"id": "msg_1", "text": "ü"}],
        "body": {"id": identity, "status": status, "output": []},
        "created_at": MOMENT,
    }
    return StoredResponse(**{**values, **fields})


def get(responses: Responses, identity: str, owner: str = "ann", at: datetime = MOMENT) -> StoredResponse:
    return responses.get(owner, identity, moment=at, patience=PATIENCE)


def test_a_response_comes_back_as_it_was_stored(responses: Responses) -> None:
    responses.add(stored())
    assert get(responses, "resp_1") == stored()


def test_another_owner_neither_reads_nor_removes_nor_continues_it(responses: Responses) -> None:
    responses.add(stored())
    for attempt in (
        lambda: get(responses, "resp_1", "bob"),
        lambda: responses.remove("bob", "resp_1"),
        lambda: responses.conversation("bob", "resp_1", limit=9),
    ):
        with pytest.raises(ResponseNotFound):
            attempt()
    assert get(responses, "resp_1").owner == "ann"


def test_one_in_progress_ends_once(responses: Responses) -> None:
    responses.add(stored(status="in_progress"))
    assert responses.in_progress("resp_1")
    assert responses.end("resp_1", {"status": "completed"})
    assert not responses.end("resp_1", {"status": "cancelled"})
    assert get(responses, "resp_1").status == "completed"
    assert not responses.in_progress("resp_1")


def test_many_changes_are_one_write_and_each_says_what_it_did(responses: Responses) -> None:
    ending = Ending(id="resp_1", body={"status": "completed"})
    changes = [
        stored(status="in_progress"),
        stored("resp_2"),
        ending,
        ending,
        Ending(id="resp_9", body=ending.body),
    ]
    assert responses.write(changes) == [True, True, True, False, False]
    assert get(responses, "resp_1").status == "completed"


def test_a_deleted_one_does_not_come_back_when_it_ends(responses: Responses) -> None:
    responses.add(stored(status="in_progress"))
    responses.remove("ann", "resp_1")
    assert not responses.end("resp_1", {"status": "completed"})
    assert not responses.in_progress("resp_1")
    with pytest.raises(ResponseNotFound):
        get(responses, "resp_1")


def test_one_that_is_in_progress_for_too_long_has_failed(responses: Responses) -> None:
    responses.add(stored(status="in_progress"))
    assert get(responses, "resp_1", at=MOMENT + PATIENCE).status == "in_progress"
    found = get(responses, "resp_1", at=MOMENT + PATIENCE + timedelta(seconds=1))
    assert (found.status, found.body["status"], found.body["error"]["message"]) == ("failed", "failed", LOST)


def test_a_conversation_is_its_responses_the_oldest_first(responses: Responses) -> None:
    for number in range(5):
        responses.add(stored(f"resp_{number}", previous_id=f"resp_{number - 1}" if number else None))
    found = responses.conversation("ann", "resp_3", limit=9)
    assert [response.id for response in found] == ["resp_0", "resp_1", "resp_2", "resp_3"]
    last = responses.conversation("ann", "resp_4", limit=2)
    assert [response.id for response in last] == ["resp_3", "resp_4"]


def test_a_conversation_with_a_hole_names_what_is_missing(responses: Responses) -> None:
    responses.add(stored("resp_2", previous_id="resp_1"))
    with pytest.raises(ResponseNotFound, match="resp_1"):
        responses.conversation("ann", "resp_2", limit=9)


def test_old_ones_are_forgotten(responses: Responses) -> None:
    responses.add(stored("resp_1", created_at=MOMENT - timedelta(days=31)))
    responses.add(stored("resp_2"))
    assert responses.prune(MOMENT - timedelta(days=30)) == 1
    assert get(responses, "resp_2").id == "resp_2"
    with pytest.raises(ResponseNotFound):
        get(responses, "resp_1")
