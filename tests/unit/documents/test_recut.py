"""A recut holds what its collection holds, in chunks of its own sizes; kept up to date, and no more than that."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.documents import Document, EmbedderIdentity
from cluster.errors import BadRequest, ClusterError, CollectionNotFound
from pipelines.documents.labels import Labels
from pipelines.documents.recut_stage import Recut
from pipelines.documents.running import Driver, Running
from pipelines.documents.stages import Embed
from tests.unit.documents.house import INTO, Loop
from tests.unit.documents.recut_house import Recutting

LONG = "# Mills\n\n" + " ".join(f"The mill number {place} turns in the wind." for place in range(30))
SHORT = "The red tower stands by the sea."


@pytest.fixture
def made(tmp_path: Path) -> Recutting:
    recutting = Recutting(tmp_path)
    recutting.add("long.md", LONG)
    recutting.add("short.md", SHORT)
    return recutting


def test_a_recut_has_the_documents_and_chunks_of_its_own_size(made: Recutting) -> None:
    assert made.run() == made.into.count()
    assert made.told[-1] == (2, 2)
    before, after = ({one.source: one for one in rack.documents()} for rack in (made.base, made.into))
    assert {name: replace(one, chunks=0) for name, one in before.items()} == {
        name: replace(one, chunks=0) for name, one in after.items()
    }
    chunks = made.into.chunks(after["long.md"].id)
    assert max(chunk.tokens for chunk in chunks) > 16
    assert len(chunks) == after["long.md"].chunks < before["long.md"].chunks
    assert all(LONG[chunk.start : chunk.end] == chunk.text for chunk in chunks)
    assert {chunk.heading for chunk in chunks} == {"Mills"}


def test_a_second_time_does_nothing(made: Recutting) -> None:
    made.run()
    made.into.asked.clear()
    assert (made.run(), made.told) == (0, [])
    assert made.into.asked == {}


def test_only_what_is_new_is_cut(made: Recutting) -> None:
    made.run()
    made.add("third.md", "A green hill.")
    assert made.run() == 1
    assert made.told[-1] == (1, 1)


def test_what_left_the_collection_leaves_the_recut(made: Recutting) -> None:
    made.run()
    gone = made.recut()["short.md"]
    made.base.delete(gone.id)
    made.run()
    assert set(made.recut()) == {"long.md"}
    assert made.into.missing([f"{gone.id}-any"])
    assert {chunk.document_id for one in made.into.documents() for chunk in made.into.chunks(one.id)} == {
        made.recut()["long.md"].id
    }


def test_what_left_while_nobody_could_take_it_out_is_taken_out(made: Recutting) -> None:
    """As where the store was set up anew without that document."""
    made.run()
    index = made.into.vectors._collections[INTO]
    index.delete(made.recut()["short.md"].id)
    assert set(made.recut()) == {"long.md", "short.md"}
    made.run()
    assert set(made.recut()) == {"long.md"}


def test_a_new_version_takes_the_old_ones_place(made: Recutting) -> None:
    made.run()
    made.add("short.md", "The red tower fell into the sea.")
    made.run()
    (chunk,) = made.into.chunks(made.recut()["short.md"].id)
    assert chunk.text == "The red tower fell into the sea."
    assert len(made.recut()) == 2


def test_labels_are_the_collections_also_where_some_were_taken_back(made: Recutting) -> None:
    house = made.house
    house.ingest(house.write("long.md", LONG), labels=Labels(tags=("a", "b"), metadata={"year": 1, "of": "x"}))
    made.run()
    (long,) = (one for one in made.base.documents() if one.source == "long.md")
    assert made.recut()["long.md"].tags == ("a", "b")
    made.base.annotate(long.id, tags=("b",), metadata={"year": 2})
    made.into.asked.clear()
    assert made.run() == 0
    recut = made.recut()["long.md"]
    assert (recut.tags, recut.metadata) == (("b",), {"year": 2})
    assert made.into.asked == {"annotate": 1}


def test_a_document_that_is_called_otherwise_is_not_cut_again(made: Recutting) -> None:
    made.run()
    made.house.ingest(made.house.write("other.md", SHORT))
    made.base.vectors.unpublish_sources(INTO, ["short.md"])
    assert made.run() == 0
    assert set(made.recut()) == {"long.md", "other.md"}


def test_two_documents_that_changed_their_names_are_both_there(made: Recutting) -> None:
    """Publishing one under the other's name makes that leave: it is cut again where it was gone already."""
    made.run()
    house = made.house
    house.ingest(house.write("long.md", SHORT), house.write("short.md", LONG))
    made.run()
    said = {name: made.into.chunks(one.id)[0].text for name, one in made.recut().items()}
    assert said["long.md"] == SHORT
    assert said["short.md"].startswith("# Mills")


def test_killed_at_any_slice_and_run_again_it_ends_exact(made: Recutting, tmp_path: Path) -> None:
    files = {f"{place}.md": f"{LONG[: 60 * (1 + place % 3)]} {place}" for place in range(66)}
    whole = Recutting(tmp_path / "whole")
    for house in (made.house, whole.house):
        house.ingest(
            *(house.write(name, text) for name, text in {**files, "long.md": LONG, "short.md": SHORT}.items())
        )
    whole.run()
    for die_after in (0, 1, 1, 0):  # three groups of documents, then two, then one
        with pytest.raises(KeyboardInterrupt):
            made.run(die_after)
    assert 64 <= len(made.recut()) < 68
    made.run()
    assert {name: one.chunks for name, one in made.recut().items()} == {
        name: one.chunks for name, one in whole.recut().items()
    }
    assert made.into.count() == whole.into.count() == sum(one.chunks for one in made.into.documents())
    assert not Path(made.place.folder).exists()


def test_it_ends_where_somebody_wishes_and_goes_on_from_there(made: Recutting) -> None:
    made.stop_after = 0
    made.run()
    assert not made.whole
    made.stop_after = None
    made.run()
    assert made.whole
    assert len(made.recut()) == 2


def test_much_goes_to_workers_of_its_own(tmp_path: Path) -> None:
    made = Recutting(tmp_path, little=100)
    made.add("long.md", LONG)
    made.run()
    assert isinstance(made.far.embed, Loop)
    assert isinstance(made.near.embed, Loop)
    assert made.far.embed.embedded == made.into.count() > 0
    assert made.near.embed.embedded == 0


def test_a_collection_that_is_cut_so_needs_no_recut(tmp_path: Path) -> None:
    made = Recutting(tmp_path, tokens=16)
    assert made.recutter().needless(), "nothing is stored"
    made.add("long.md", LONG)
    assert made.recutter().needless()
    other = Recutting(tmp_path / "other", tokens=17)
    other.add("long.md", LONG)
    assert not other.recutter().needless()


def test_a_document_that_cannot_be_cut_ends_it_by_name(made: Recutting) -> None:
    class Failing(Loop):
        def run(self, stage: Any, work: Any) -> Any:
            for answer in super().run(stage, work):
                failed = {"code": "bad", "message": "no", "hint": ""}
                yield {**answer, "failed": dict.fromkeys(answer["documents"], failed)}

    recutter = made.recutter()
    object.__setattr__(made.near, "embed", Failing(made.near.embed.place, made.into))  # type: ignore[attr-defined]
    with pytest.raises(ClusterError, match=r"(long|short)\.md cannot be cut into other chunks: no \[bad\]"):
        recutter.run()
    assert made.into.documents() == ()


def test_a_document_that_goes_while_it_is_cut_is_passed_over(made: Recutting) -> None:
    stage = Recut(made.place, made.base)
    answer = stage.one({"documents": ["unknown"]})
    assert [(row["status"], row["document_id"]) for row in answer["rows"]] == [("gone", "unknown")]
    assert answer["slices"] == []


def test_nothing_is_stored_beside_a_collection_that_was_removed(made: Recutting) -> None:
    """Nobody would ever remove it."""
    recutter = made.recutter()
    run = made.near.embed.run

    def late(stage: Any, work: Any) -> Any:
        if stage is Embed:
            work = list(work)
            made.base.vectors.remove_collection(INTO)
        return run(stage, work)

    made.near.embed.run = late  # type: ignore[method-assign]
    with pytest.raises(ClusterError, match="collection_not_found"):
        recutter.run()
    identity = EmbedderIdentity(model="hash", revision="r", dimensions=16)
    with pytest.raises(CollectionNotFound):
        made.into.upsert((), made_of_nothing(), chunker="c", identity=identity)
    assert made.into.count() == 0


def made_of_nothing() -> Any:
    import numpy as np

    return np.zeros((0, 16), np.float32)


def test_two_at_once_end_as_one(made: Recutting) -> None:
    first, second = made.recutter(), made.recutter()
    assert first.run()
    assert second.run()
    documents: tuple[Document, ...] = made.into.documents()
    assert made.into.count() == sum(one.chunks for one in documents)


def test_no_command_writes_into_a_recut_by_its_name(made: Recutting, tmp_path: Path) -> None:
    cluster = Running(home=tmp_path, application="app", settings=made.house.settings, connect=Driver(tmp_path))
    assert cluster.into("t-0123") == "t-0123"
    with pytest.raises(BadRequest, match="is a recut"):
        cluster.into(made.into.name)
