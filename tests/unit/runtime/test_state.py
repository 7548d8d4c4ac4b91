import json
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.errors import NotRunning, StaleCluster
from cluster.runtime.state import ClusterState, read_state, remove_state, state_file, write_state


def state_of(home: Path) -> ClusterState:
    return ClusterState(
        id="an-id",
        kind="own",
        phase="starting",
        address="127.0.0.1:1",
        url="http://127.0.0.1:2",
        dashboard="http://127.0.0.1:3",
        application="heliostat",
        applications=("heliostat", "other"),
        home=str(home),
        config="/configs/demo.yaml",
        started=1.5,
        environment={"RAY_AUTH_MODE": "token"},
        pids={"raylet": 7},
    )


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_state(state_of(tmp_path))
    assert read_state(tmp_path) == state_of(tmp_path)


def test_writing_again_replaces_and_leaves_no_draft(tmp_path: Path) -> None:
    write_state(state_of(tmp_path))
    write_state(replace(state_of(tmp_path), phase="running"))
    assert read_state(tmp_path).phase == "running"
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["cluster.json"]


def test_no_state_file_means_not_running_and_says_how_to_start(tmp_path: Path) -> None:
    with pytest.raises(NotRunning) as caught:
        read_state(tmp_path)
    assert caught.value.hint == "heliostat up configs/demo.yaml"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", json.dumps({"id": "x"}), json.dumps({"applications": [], "new": 1})]
)
def test_an_unreadable_state_file_is_a_stale_cluster(tmp_path: Path, text: str) -> None:
    state_file(tmp_path).parent.mkdir()
    state_file(tmp_path).write_text(text)
    with pytest.raises(StaleCluster):
        read_state(tmp_path)


def test_removing_twice_is_harmless(tmp_path: Path) -> None:
    write_state(state_of(tmp_path))
    remove_state(tmp_path)
    remove_state(tmp_path)
    assert not state_file(tmp_path).exists()
