"""Ingests whose parts are killed: whatever dies at whatever moment, the next run ends with the planned chunks.

Chunks' ids are hashes of what they hold, so a collection that no run was killed in says what each must hold.
"""

import json
import random
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from cluster.runtime import processes
from cluster.runtime.state import read_state
from tests.faults.conftest import config_of
from tests.live.conftest import ROOT, environment, heliostat

KILLS = 4  # each half a minute: raise it for a run by hand; alone/test_ingest_kill.py has 20 that cost less
SEED = 7
FILES, PARAGRAPHS = 80, 25  # and as many chunks a file: 2,000, in slices of 256
WAIT_S = 400
LIMIT_S = 300 + 150 * KILLS  # on a machine that others use, too
FACTS = """
import json, sys
from pipelines.documents.running import running
cluster = running()
cards = {card.name: (card.documents, card.chunks) for card in cluster.owner().collections()}
ids = {chunk.id for part in cluster.files().read("whole") for chunk in part.chunks}
lost = {name: len(cluster.owner(name).missing(sorted(ids))) for name in cards}
print(json.dumps({"ids": len(ids), "cards": cards, "lost": lost}))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Who is killed, and when: after so many parts of vectors were written and then a little. far: by actors."""

    victim: str
    far: bool
    parts: int
    after_s: float


class House:
    """A running cluster with documents to ingest, by the served embedder or by actors."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.docs = home / "docs"
        for number in range(FILES):
            paragraphs = (" ".join(f"w{number}p{at}n{word}" for word in range(14)) for at in range(PARAGRAPHS))
            (self.docs / f"{number:04}.txt").write_text("\n\n".join(paragraphs))
        self.near = home / "config.yaml"
        self.far = home / "far.yaml"
        self.far.write_text(config_of(home, served_bytes=0))

    def command(self, collection: str, *, far: bool) -> list[str]:
        config = self.far if far else self.near
        return ["ingest", str(self.docs), "--collection", collection, "--config", str(config), "--json"]

    def ingest(self, collection: str, *, far: bool = False) -> dict[str, Any]:
        done = heliostat(self.home, *self.command(collection, far=far), timeout=WAIT_S)
        assert done.returncode == 0, done.stdout + done.stderr
        return dict(json.loads(done.stdout))

    def start(self, collection: str, *, far: bool) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "deployments", *self.command(collection, far=far)],
            cwd=ROOT,
            env=environment(self.home),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def parts(self, collection: str) -> int:
        return len(list((self.home / "documents" / "vectors" / collection / "parts").glob("*.parquet")))

    def facts(self) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", FACTS],
            cwd=ROOT,
            env=environment(self.home),
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout.splitlines()[-1]))


@pytest.fixture
def house(home: Path) -> House:
    return House(home)


def moments() -> list[Moment]:
    """Always the same ones, of each kind in turn."""
    chance = random.Random(SEED)
    kinds = [("job", False), ("owner", False), ("actor", True), ("job", True), ("owner", True)]
    return [
        Moment(
            victim=kinds[number % 5][0],
            far=kinds[number % 5][1],
            parts=chance.randrange(7),
            after_s=chance.random(),
        )
        for number in range(KILLS)
    ]


def victims(house: House, moment: Moment) -> list[psutil.Process]:
    """The processes that this moment kills, as they call themselves."""
    names = {"owner": ("VectorStore",), "actor": ("ReadAndCut", "Embed)")}[moment.victim]
    marked = processes.marked(read_state(house.home).id)
    return [process for process in marked if any(name in _called(process) for name in names)]


def _called(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # it ended since it was listed
        return ""


def kill(house: House, moment: Moment, driver: subprocess.Popen[bytes], collection: str) -> int:
    """Wait for the moment, kill; how many processes. The driver's run has ended when this returns."""
    deadline = time.monotonic() + WAIT_S
    killed = 0
    while driver.poll() is None and not killed:
        assert time.monotonic() < deadline, f"{moment} never came"
        if house.parts(collection) < moment.parts:
            time.sleep(0.02)
            continue
        time.sleep(moment.after_s)
        if moment.victim == "job":
            driver.kill()
            killed = 1
        else:
            for process in victims(house, moment):
                with suppress(psutil.NoSuchProcess):
                    process.kill()
                    killed += 1
    driver.wait(WAIT_S)
    return killed


def killed_at(house: House, moment: Moment, number: int) -> tuple[str, subprocess.Popen[bytes], int]:
    """The collection of a run that was killed at that moment, or sooner where it ends before; how many were killed.

    Its texts are embedded already, so on an idle machine a run may be over before its moment.
    """
    for attempt, sooner in enumerate((1.0, 0.5, 0.0)):
        collection = f"kill-{number}-{attempt}"
        driver = house.start(collection, far=moment.far)
        wanted = replace(moment, parts=int(moment.parts * sooner), after_s=moment.after_s * sooner)
        if killed := kill(house, wanted, driver, collection):
            break
    return collection, driver, killed


@pytest.mark.timeout(LIMIT_S)
def test_whatever_is_killed_the_next_run_ends_with_exactly_the_planned_chunks(house: House) -> None:
    planned = house.ingest("whole")["chunks_done"]
    assert planned == FILES * PARAGRAPHS
    told = []
    for number, moment in enumerate(moments()):
        collection, driver, killed = killed_at(house, moment, number)
        left = house.parts(collection)
        again = house.ingest(collection, far=moment.far)
        told.append((moment, killed, driver.returncode, left, again["embedded"], again["unchanged"]))
        print(*told[-1])  # noqa: T201 - of the run by hand
        assert killed, told
        assert again["failed"] == [], again
        assert len(again["documents"]) + again["unchanged"] == FILES
    facts = house.facts()
    assert facts["ids"] == planned
    assert facts["cards"] == {name: [FILES, planned] for name in facts["cards"]}, told
    assert facts["lost"] == dict.fromkeys(facts["cards"], 0), told
    assert len(facts["cards"]) > KILLS
