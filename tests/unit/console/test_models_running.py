"""Until when a model stays, as `heliostat models ps` says it."""

from typing import Any

import pytest

from deployments.models_running import until

ROW: dict[str, Any] = {
    "state": "ready", "fixed": False, "pinned": False, "in_use": 0, "until": 160.0, "detail": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({}, "in 60 s"),
        ({"until": 1000.0}, "in 15 min"),
        ({"until": None}, "for ever"),
        ({"in_use": 2, "until": None}, "in use"),
        ({"pinned": True}, "it is unpinned"),
        ({"fixed": True}, "the cluster stops"),
        (
            {"state": "loading", "until": None, "detail": "waiting for room: m1 is loading"},
            "waiting for room: m1 is loading",
        ),
        ({"state": "loading", "until": None}, ""),
    ],
)
def test_a_model_says_until_when_it_stays_or_what_it_waits_for(row: dict[str, Any], said: str) -> None:
    assert until(ROW | row, 100.0) == said
