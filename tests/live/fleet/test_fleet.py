"""Models that come and go on a real cluster: an application each, loaded by the first request for it."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any

import httpx
import openai
import psutil
import pytest

from cluster.runtime.state import read_state
from tests.live.conftest import heliostat
from tests.live.fleet.conftest import ALWAYS, AT_ONCE, COMING, PLACES
from tests.live.starting import called

STAYING = {model["id"] for model in ALWAYS}
ASKED = 48
CLIENTS = 8


class Running:
    """A cluster of models that are always there, and ten that come and go."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state = read_state(home)
        self.http = httpx.Client(base_url=self.state.url, timeout=120, trust_env=False)

    def loaded(self) -> dict[str, dict[str, Any]]:
        return {row["id"]: row for row in self.http.get("/api/v1/models/loaded").json()["data"]}

    def coming(self) -> set[str]:
        """The loaded ones of those that come and go."""
        return self.loaded().keys() - STAYING

    def until(self, so: Callable[[dict[str, dict[str, Any]]], bool], *, within_s: float = 60.0) -> None:
        """Wait for the fleet to be so; while its manager is replaced nobody says how it is."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError, KeyError):
                if so(self.loaded()):
                    return
            time.sleep(0.1)
        raise AssertionError(f"the fleet is {self.loaded()}")

    def ask(self, model: str, text: str = "one two three", **more: Any) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.http.post("/v1/chat/completions", json=body)


@pytest.fixture(scope="module")
def fleet(home: Path) -> Iterator[Running]:
    running = Running(home)
    yield running
    running.http.close()


def test_the_first_request_loads_a_model_and_an_openai_client_sees_nothing_of_it(fleet: Running) -> None:
    assert fleet.loaded().keys() == STAYING
    with openai.OpenAI(base_url=f"{fleet.state.url}/v1", api_key="none", max_retries=0) as client:
        assert {"always", "m0", "m9"} <= {model.id for model in client.models.list()}
        assert client.models.retrieve("m0").id == "m0"
        assert "m0" not in fleet.loaded()  # neither of them loaded it
        told = "".join(
            chunk.choices[0].delta.content or ""
            for chunk in client.chat.completions.create(
                model="m0", messages=[{"role": "user", "content": "one two three"}], stream=True
            )
            if chunk.choices
        )
    assert told
    row = fleet.loaded()["m0"]
    assert (row["state"], row["engine"], row["device"]) == ("ready", "scripted", "cpu")
    fleet.until(lambda loaded: loaded["m0"]["memory_gib"] > 0.02)  # measured: a replica's process is larger
    again = fleet.ask("m0")
    assert again.status_code == 200
    assert float(again.headers["x-heliostat-timing"].split("total;dur=")[1].split(",")[0]) < 1000


def test_a_model_that_cannot_be_loaded_says_why_and_unloads_nobody(fleet: Running) -> None:
    fleet.ask("m0")
    refused = fleet.ask("broken")
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "model_load_failed"
    assert "nothing" in refused.json()["error"]["message"]
    assert fleet.loaded()["m0"]["state"] == "ready"
    assert "broken" not in fleet.loaded()


def test_an_unknown_model_is_404_and_a_path_for_a_name_too(fleet: Running) -> None:
    for name in ("m10", "../m0", "m0/../../etc", "M" * 200):
        refused = fleet.ask(name)
        assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found"), name
    assert "m1" in fleet.http.post("/api/v1/models/m11/load").json()["error"]["hint"]


def test_unload_waits_for_nobody_and_load_pins(fleet: Running) -> None:
    loaded = heliostat(fleet.home, "models", "load", "m1", "--pin", "--json")
    assert loaded.returncode == 0, loaded.stderr
    assert json.loads(loaded.stdout)["pinned"] is True
    shown = heliostat(fleet.home, "models", "ps")
    assert "m1" in shown.stdout
    assert "unpinned" in shown.stdout
    unloaded = heliostat(fleet.home, "models", "unload", "m1")
    assert unloaded.returncode == 0, unloaded.stderr
    assert "m1" not in fleet.loaded()
    fixed = heliostat(fleet.home, "models", "unload", "always")
    assert fixed.returncode != 0
    assert "part of the configuration" in fixed.stderr


def test_a_model_in_use_is_not_unloaded_unless_forced(fleet: Running) -> None:
    fleet.ask("m2")
    body = {"model": "m2", "messages": [{"role": "user", "content": "word " * 300}], "stream": True}
    with fleet.http.stream("POST", "/v1/chat/completions", json=body) as stream:
        lines = stream.iter_lines()
        next(lines)
        assert fleet.loaded()["m2"]["in_use"] == 1
        refused = httpx.post(f"{fleet.state.url}/api/v1/models/m2/unload", json={}, timeout=60, trust_env=False)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "model_in_use")
        assert [line for line in lines if line][-1] == "data: [DONE]"


def test_keep_alive_0_is_over_at_once(fleet: Running) -> None:
    answer = fleet.http.post("/api/v1/models/m3/load", json={"keep_alive": 0})
    assert answer.status_code == 200
    fleet.until(lambda loaded: "m3" not in loaded)
    refused = fleet.http.post("/api/v1/models/m3/load", json={"keep_alive": "soon"})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "keep_alive")


def test_a_stream_is_told_how_far_its_model_s_load_is(fleet: Running) -> None:
    body = {"model": "slow", "messages": [{"role": "user", "content": "one two"}], "stream": True}
    with fleet.http.stream("POST", "/v1/chat/completions", json=body) as stream:
        assert stream.status_code == 200
        lines = [line for line in stream.iter_lines() if line]
    comments = [line for line in lines if line.startswith(":")]
    assert len(comments) >= 2
    assert all(line.startswith(": loading slow: ") for line in comments)
    assert (lines[len(comments)].startswith("data: {"), lines[-1]) == (True, "data: [DONE]")


def test_another_model_answers_while_the_asked_one_loads(fleet: Running) -> None:
    meanwhile = fleet.ask("masked")
    assert meanwhile.headers["x-heliostat-route"] == "masked -> always; reason=loading"
    assert meanwhile.json()["model"] == "always"
    fleet.until(lambda loaded: loaded["masked"]["state"] == "ready")
    assert fleet.ask("masked").json()["model"] == "masked"


def test_a_load_whose_process_is_killed_is_tried_once_more_without_the_idle_models(fleet: Running) -> None:
    """So the kernel ends a process for which there is no memory."""
    fleet.ask("m7")
    fleet.until(lambda loaded: not loaded["m7"]["in_use"])

    with ThreadPoolExecutor(1) as clients:
        answer = clients.submit(fleet.ask, "killed")
        deadline = time.monotonic() + 60
        while not (found := called(fleet.state.id, "model-killed")) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.kill(found[0].pid, signal.SIGKILL)
        assert answer.result().status_code == 200, answer.result().text
    told = fleet.http.get("/api/v1/events", params={"kind": "load_again", "model": "killed"}).json()["data"]
    assert [one["reason"] for one in told] == ["out_of_memory"]
    assert "m7" in told[0]["inputs"]["freed"]
    assert "m7" not in fleet.loaded()


def test_what_the_fleet_did_is_among_the_events_once_with_its_reasons(fleet: Running) -> None:
    fleet.ask("m6")
    assert fleet.http.post("/api/v1/models/m6/unload", json={"force": True}).status_code == 200

    def told() -> list[dict[str, Any]]:
        asked = {"model": "m6", "limit": 50}
        return [
            one for one in fleet.http.get("/api/v1/events", params=asked).json()["data"] if one["kind"] != "retry"
        ]

    deadline = time.monotonic() + 20  # they are stored once a second
    while time.monotonic() < deadline and not any(one["kind"] == "unloaded" for one in told()):
        time.sleep(0.2)
    found = [one for one in told() if one["kind"] in ("load", "ready", "unload", "unloaded")][-4:]
    assert [one["kind"] for one in found] == ["load", "ready", "unload", "unloaded"]
    assert {one["gateway"] for one in found} == {"fleet"}
    assert found[0]["inputs"]["budget_gib"] > 0
    shown = heliostat(fleet.home, "events", "--model", "m6", "--kind", "load")
    assert "m6" in shown.stdout, shown.stderr


def test_requests_to_a_model_of_the_configuration_are_counted(fleet: Running) -> None:
    body = {"model": "always", "messages": [{"role": "user", "content": "word " * 300}], "stream": True}
    with fleet.http.stream("POST", "/v1/chat/completions", json=body) as stream:
        lines = stream.iter_lines()  # kept: without it the stream would be closed
        next(lines)
        fleet.until(lambda loaded: loaded["always"]["in_use"] == 1)
    fleet.until(lambda loaded: loaded["always"]["in_use"] == 0)


def test_churn_fails_no_request_and_unloads_nothing_in_use(fleet: Running) -> None:
    rng = Random(0)
    asked = [rng.choice(COMING) for _ in range(ASKED)]
    with ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(fleet.ask, asked))
    assert [answer.text for answer in answers if answer.status_code != 200] == []
    assert [answer.json()["model"] for answer in answers] == asked
    assert len(fleet.coming()) <= PLACES + AT_ONCE  # what leaves is counted until then
    fleet.until(lambda loaded: len(loaded.keys() - STAYING) <= PLACES)


def test_a_killed_manager_is_replaced_and_takes_over_what_is_loaded(fleet: Running) -> None:
    fleet.ask("m4")
    load = fleet.loaded()["m4"]["load_s"]
    assert load > 0
    [manager] = called(fleet.state.id, ":Fleet")
    os.kill(manager.pid, signal.SIGKILL)
    psutil.wait_procs([manager], timeout=10)
    assert fleet.ask("m4").status_code == 200  # this gateway's claim, or a new one of the new manager
    fleet.until(lambda loaded: loaded["m4"]["state"] == "ready")
    assert fleet.ask("m5").status_code == 200
