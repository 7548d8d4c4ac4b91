"""What a job stored in a collection that was removed meanwhile."""

from pathlib import Path

import pytest

from pipelines.documents.command import take_back
from tests.unit.documents.house import INTO, House, Store


class Removable(Store):
    def remove_collection(self, collection: str) -> None:
        self.vectors.remove_collection(collection)


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.store = Removable()
    return house


def back(house: House, *sources: str) -> None:
    take_back(house.store, INTO, sources)  # type: ignore[arg-type]  # the owner's client, as far as it is asked


def test_a_collection_that_the_job_made_again_goes(house: House) -> None:
    """It stood there under a name that nobody had any more, with what its owner had deleted."""
    file = house.write("a.txt", "words")
    house.ingest(file)
    back(house, "a.txt")
    assert house.store.vectors.collections() == ()
    back(house, "a.txt")


def test_what_others_stored_since_stays(house: House) -> None:
    house.ingest(house.write("a.txt", "words"), house.write("b.txt", "others"))
    back(house, "a.txt")
    assert house.sources() == {"b.txt"}
