"""Ingests whose job or whose store's owner is killed: the next run ends with exactly the planned chunks.

Real processes, real Chroma, real files and no Ray; tests/faults/test_ingest_kills.py kills the parts of a cluster.
"""

import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from cluster.stores.database import open_database
from cluster.stores.document_states import DocumentStates, State
from cluster.stores.factory import open_vectors
from cluster.stores.vector_files import FOLDER, VectorFiles
from pipelines.documents.stages import SLICE_CHUNKS
from tests.faults.alone.forks import forked
from tests.faults.alone.ingest_processes import own, settings, work

pytestmark = [
    pytest.mark.timeout(1800),  # on a machine that others use, too
    pytest.mark.filterwarnings("ignore:legacy embedding function config:DeprecationWarning"),  # Chroma's own
]

KILLS = 20
SEED = 11
FILES, PARAGRAPHS = 60, 20  # and as many chunks a file: 1,200, in slices of 256
WAIT_S = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Who is killed, and when: after so many parts of vectors were written and then a little."""

    victim: str
    parts: int
    after_s: float


def moments() -> list[Moment]:
    """Always the same ones."""
    chance = random.Random(SEED)
    return [
        Moment(
            victim=("job", "owner")[number % 2],
            parts=chance.randrange(FILES * PARAGRAPHS // SLICE_CHUNKS + 1),
            after_s=chance.random() / 3,
        )
        for number in range(KILLS)
    ]


class House:
    """A home with documents, and the processes that work on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        (home / "docs").mkdir()
        for number in range(FILES):
            paragraphs = (" ".join(f"w{number}p{at}n{word}" for word in range(14)) for at in range(PARAGRAPHS))
            (home / "docs" / f"{number:04}.txt").write_text("\n\n".join(paragraphs))
        self.told = home / "told.json"
        self.owner = forked(own, home)

    def start(self, collection: str) -> BaseProcess:
        self.told.unlink(missing_ok=True)
        return forked(work, self.home, collection, self.told)

    def ingest(self, collection: str) -> dict[str, Any]:
        job = self.start(collection)
        job.join(WAIT_S)
        assert job.exitcode == 0
        return dict(json.loads(self.told.read_text()))

    def kill_owner(self) -> None:
        self.owner.kill()
        self.owner.join()

    def parts(self, collection: str) -> int:
        return len(list((self.home / FOLDER / collection / "parts").glob("*.parquet")))

    def interrupted(self, collection: str, moment: Moment) -> bool:
        """A run in which somebody was killed; whether it was still at work then."""
        job = self.start(collection)
        deadline = time.monotonic() + WAIT_S
        while job.is_alive() and self.parts(collection) < moment.parts:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(moment.after_s)
        at_work = job.is_alive()
        if moment.victim == "job":
            job.kill()
        else:
            self.kill_owner()
            self.owner = forked(own, self.home)
        job.join(WAIT_S)
        return at_work


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.kill_owner()


def test_whoever_is_killed_the_next_run_ends_with_exactly_the_planned_chunks(house: House) -> None:
    planned = house.ingest("whole")["chunks_done"]
    assert planned == FILES * PARAGRAPHS
    hit = 0
    for number, moment in enumerate(moments()):
        hit += house.interrupted(f"kill-{number}", moment)
        again = house.ingest(f"kill-{number}")
        assert (len(again["documents"]) + again["unchanged"], again["failed"]) == (FILES, []), moment
    assert hit >= KILLS * 2 // 3  # the others came after the end of their run
    house.kill_owner()
    files, store = VectorFiles(house.home / FOLDER), open_vectors(settings(house.home).stores, house.home)
    states = DocumentStates(open_database(settings(house.home).database_url))
    ids = sorted({chunk.id for part in files.read("whole") for chunk in part.chunks})
    assert len(ids) == planned
    for number in range(KILLS):
        name = f"kill-{number}"
        assert (store.count(name), store.missing(name, ids), len(store.documents(name))) == (planned, [], FILES)
        assert len(files.read_records(name)) == FILES
        assert {chunk.id for part in files.read(name) for chunk in part.chunks} == set(ids)
        assert {state.state for state in states.of(name).values()} == {State.STORED}
    store.close()


def test_an_index_that_is_lost_is_written_anew_without_an_embedder(house: House) -> None:
    planned = house.ingest("whole")["chunks_done"]
    house.kill_owner()
    store = open_vectors(settings(house.home).stores, house.home)
    store._indexes.drop("whole")
    assert store.reindex("whole") == planned
    assert (store.count("whole"), len(store.documents("whole"))) == (planned, FILES)
    store.close()
    house.owner = forked(own, house.home)
    assert house.ingest("whole")["unchanged"] == FILES
