"""Replicas come, go, die and are replaced on a real cluster, and no request is lost over it."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from cluster.runtime.state import read_state
from tests.live.conftest import heliostat
from tests.live.fleet.conftest import ALWAYS, config_of, scripted
from tests.live.starting import called

Told = tuple[str, int, int]
WORDS = "one two three four five six seven eight"


class Running:
    """The cluster of these tests. home: its data."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.state = read_state(home)
        self.http = httpx.Client(
            base_url=self.state.url, timeout=60, trust_env=False, limits=httpx.Limits(max_connections=64)
        )

    def ask(self, model: str, text: str = WORDS, **more: Any) -> httpx.Response:
        headers = more.pop("headers", None)
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        return self.http.post("/v1/chat/completions", json=body, headers=headers)

    def replicas(self, model: str) -> list[psutil.Process]:
        return called(self.state.id, f":{model}")

    def until(self, model: str, count: int, *, within_s: float = 60.0) -> float:
        """Wait for so many replicas; returns the seconds it took."""
        begun = time.monotonic()
        while len(self.replicas(model)) != count:
            assert time.monotonic() - begun < within_s, f"{model} has {len(self.replicas(model))} replicas"
            time.sleep(0.1)
        return time.monotonic() - begun

    def events(self, model: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.http.get(
            "/api/v1/events", params={"kind": "scale", "model": model}
        ).json()["data"]
        return found

    def told(self, model: str, so: Callable[[list[Told]], bool], *, within_s: float = 20.0) -> list[Told]:
        """Wait for the events of a model to be so: of each its reason, and the replicas before and after."""
        deadline = time.monotonic() + within_s
        while True:
            found = [
                (one["reason"], one["inputs"]["before"], one["inputs"]["replicas"]) for one in self.events(model)
            ]
            if so(found):
                return found
            assert time.monotonic() < deadline, found
            time.sleep(0.2)


class Asked:
    """What clients that ask without a pause have met. early: failed before a byte; late: after the first."""

    def __init__(self) -> None:
        self.whole = 0
        self.early: list[str] = []
        self.late: list[str] = []


@contextmanager
def load(running: Running, model: str, clients: int, **more: Any) -> Iterator[Asked]:
    """Streams of a model, from so many clients, while this is open."""
    asked, over = Asked(), threading.Event()

    def client() -> None:
        while not over.is_set():
            first = False
            try:
                body = {"model": model, "messages": [{"role": "user", "content": WORDS}], "stream": True, **more}
                with running.http.stream("POST", "/v1/chat/completions", json=body) as answer:
                    if answer.status_code != 200:
                        asked.early.append(f"{answer.status_code} {answer.read()!r}")
                        continue
                    text = ""
                    for piece in answer.iter_text():
                        first, text = True, text + piece
                if text.endswith("data: [DONE]\n\n") and '"error"' not in text:
                    asked.whole += 1
                else:
                    asked.late.append(text[-200:])
            except httpx.HTTPError as error:
                (asked.late if first else asked.early).append(repr(error))

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield asked
    finally:
        over.set()
        for thread in threads:
            thread.join()


@pytest.fixture(scope="module")
def running(home: Path) -> Iterator[Running]:
    found = Running(home)
    yield found
    found.http.close()


def timed(work: Callable[[], httpx.Response]) -> tuple[httpx.Response, float]:
    begun = time.monotonic()
    return work(), time.monotonic() - begun


def test_looking_at_a_model_that_sleeps_does_not_wake_it(running: Running) -> None:
    assert running.http.get("/health").json()["services"]["sleeper"] == "running"
    assert "sleeper" in {model["id"] for model in running.http.get("/v1/models").json()["data"]}
    assert running.http.get("/v1/models/sleeper").status_code == 200
    time.sleep(2)
    assert running.replicas("sleeper") == []


def test_the_first_request_of_a_model_that_sleeps_waits_for_a_replica_or_for_its_own_deadline(
    running: Running,
) -> None:
    late, took = timed(lambda: running.ask("sleeper", headers={"x-heliostat-timeout-ms": "300"}))
    assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")
    assert took < 10
    answer = running.ask("sleeper")
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == WORDS
    running.until("sleeper", 0)
    assert running.ask("sleeper").status_code == 200  # and again
    running.until("sleeper", 0)
    one = [("request", 0, 1), ("idle", 1, 0)]
    running.told("sleeper", lambda told: told == one * 2)


def test_load_brings_replicas_and_they_go_when_it_is_over_and_nobody_notices(running: Running) -> None:
    with load(running, "grower", 12) as asked:
        running.until("grower", 3)
        time.sleep(1)
    running.until("grower", 1)
    assert (asked.early, asked.late) == ([], [])
    assert asked.whole > 12
    told = running.told("grower", lambda told: bool(told) and told[-1][2] == 1)
    assert {reason for reason, _, _ in told} <= {"ongoing", "idle"}
    assert max(replicas for _, _, replicas in told) == 3
    assert running.events("grower")[0]["inputs"]["ongoing"] > 4


def test_slow_first_tokens_bring_a_replica_where_they_are_what_counts(running: Running) -> None:
    with load(running, "waiter", 2) as asked:
        running.until("waiter", 2)
    assert (asked.early, asked.late) == ([], [])
    running.told("waiter", lambda told: told[:1] == [("ttft_p95_ms", 1, 2)])
    assert running.events("waiter")[0]["inputs"]["ttft_p95_ms"] > 200


def test_a_session_stays_with_its_replica(running: Running) -> None:
    # Every second call of each replica fails: where all are of one replica, it is every second one of them.
    for session in ("a", "b", "c"):
        headers = {"x-session-id": session}
        codes = [running.ask("affine", headers=headers).status_code for _ in range(12)]
        assert codes in ([200, 500] * 6, [500, 200] * 6), session


def test_of_two_replicas_one_may_be_killed_and_no_request_fails_before_its_first_byte(running: Running) -> None:
    with load(running, "pair", 20) as asked:  # more at once than failures open a breaker
        time.sleep(1)
        victim = running.replicas("pair")[0]
        os.kill(victim.pid, signal.SIGKILL)
        time.sleep(3)
    assert asked.early == []
    assert len(asked.late) <= 20  # those that it was answering
    assert asked.whole > 50
    running.told("pair", lambda told: told == [("lost", 2, 1), ("replaced", 1, 2)], within_s=60)


def test_an_update_of_a_model_with_one_replica_is_no_moment_without_it(running: Running) -> None:
    old = {one.pid for one in running.replicas("single")}
    changed = [model if model["id"] != "single" else scripted("single", {}, token_delay_s=0.04) for model in ALWAYS]
    config = running.home / "changed.yaml"
    config.write_text(config_of(running.home, changed))
    with load(running, "single", 4) as asked:
        time.sleep(1)
        done = heliostat(running.home, "update", str(config), timeout=200)
        time.sleep(1)
    assert done.returncode == 0, done.stderr
    assert (asked.early, asked.late) == ([], [])
    assert asked.whole > 20
    assert {one.pid for one in running.replicas("single")}.isdisjoint(old)
