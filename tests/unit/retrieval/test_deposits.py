"""Several documents in one pass: what it costs, what fails alone, what is left where it is broken off."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.documents import Document, NewDocument
from cluster.errors import BadRequest, Conflict, HeliostatError, Unavailable
from cluster.types import EmbeddingCall, Embeddings
from deployments.retrieval import deposits
from deployments.retrieval.deposits import passes
from deployments.retrieval.library import Library
from tests.unit.retrieval.library_parts import library


def new(**named: str) -> list[NewDocument]:
    return [NewDocument(source=f"{name}.txt", content=text.encode()) for name, text in named.items()]


def kinds(added: Sequence[Document | HeliostatError]) -> list[str]:
    return [one.code if isinstance(one, HeliostatError) else "stored" for one in added]


class Watched:
    """A part whose calls are counted. broken: what a method raises instead, by its name."""

    def __init__(self, part: Any) -> None:
        self._part = part
        self.calls: Counter[str] = Counter()
        self.broken: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._part, name)

        async def call(*args: Any, **options: Any) -> Any:
            self.calls[name] += 1
            if (error := self.broken.get(name)) is not None and (error := error(*args)) is not None:
                raise error
            return await method(*args, **options)

        return call


def watched(shelf: Library) -> Watched:
    """The vector store of a library, watched."""
    found = Watched(shelf._vectors)
    shelf._vectors = shelf._deposits._vectors = found  # type: ignore[assignment]
    return found


async def test_a_pass_asks_each_part_once(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    vectors = watched(shelf)
    embedder = shelf._deposits._embedder = Watched(shelf._embedder)  # type: ignore[assignment]
    added = await shelf.add_many(new(**{f"n{number}": f"Lamp {number} burns." for number in range(40)}))
    assert kinds(added) == ["stored"] * 40
    assert vectors.calls == {"held_many": 1, "missing": 1, "upsert": 1, "publish_many": 1}
    assert embedder.calls == {"card": 1, "cut_many": 1, "embed": 1}
    assert [one.source for one in added] == [f"n{number}.txt" for number in range(40)]  # type: ignore[union-attr]
    assert sorted(map(repr, await shelf.documents())) == sorted(map(repr, added))


async def test_a_wrong_file_fails_no_other(tmp_path: Path) -> None:
    files = [*new(a="Rain.", b=" ", c="Snow."), NewDocument(source="d.png", content=b"x")]
    shelf = library(tmp_path)
    assert kinds(await shelf.add_many(files)) == ["stored", "empty_document", "stored", "unsupported_document_type"]
    assert sorted(one.source for one in await shelf.documents()) == ["a.txt", "c.txt"]


async def test_of_one_name_the_last_stands_and_the_same_bytes_are_one_document(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    files = [*new(a="old", b="twin"), *new(a="new"), *new(c="twin")]
    added = await shelf.add_many(files, tags=("t",))
    assert kinds(added) == ["stored"] * 4
    assert sorted((one.source, one.characters, one.tags) for one in await shelf.documents()) == [
        ("a.txt", 3, ("t",)),
        ("c.txt", 4, ("t",)),
    ]


async def test_bytes_that_one_name_cannot_hold_are_read_by_the_next(tmp_path: Path) -> None:
    files = [NewDocument(source=name, content=b"only words") for name in ("a.png", "b.txt", "c.exe")]
    added = await library(tmp_path).add_many(files)
    # Bytes that are stored get their next name, whatever it ends in, as they do when they come one by one.
    assert kinds(added)[:2] == ["unsupported_document_type", "stored"]


async def test_a_text_of_several_documents_is_embedded_once(tmp_path: Path) -> None:
    shelf = library(tmp_path, embedding_cache_mib=0, chunk_tokens=16)
    page = "Rain falls in Spain and on the plain, and it does so mainly in spring when all is green."
    await shelf.add_many(new(a=f"{page}\n\nHere.", b=f"{page}\n\nThere."))
    told = [chunk.text for one in await shelf.documents() for chunk in await shelf.chunks(one.id)]
    assert len(set(told)) < len(told)
    assert shelf._embedder.embedded == len(set(told))  # type: ignore[attr-defined]


async def test_what_the_embedder_refuses_fails_alone(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    embed = shelf._embedder.embed

    async def picky(call: EmbeddingCall) -> Embeddings:
        if any("bad" in text for text in call.inputs):
            raise BadRequest("no")
        return await embed(call)

    shelf._embedder.embed = picky  # type: ignore[method-assign]
    assert kinds(await shelf.add_many(new(a="Rain.", b="bad", c="Snow."))) == [
        "stored",
        "invalid_request",
        "stored",
    ]


async def test_what_cannot_be_published_fails_alone(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    vectors = watched(shelf)
    # Somebody takes its chunks out meanwhile.
    vectors.broken["publish_many"] = lambda _, documents: (
        Conflict("gone") if any(one.source == "b.txt" for one in documents) else None
    )
    assert kinds(await shelf.add_many(new(a="Rain.", b="Fog.", c="Snow."))) == ["stored", "conflict", "stored"]


async def test_where_a_part_is_away_nothing_is_visible_and_another_try_embeds_nothing_again(tmp_path: Path) -> None:
    shelf = library(tmp_path, embedding_cache_mib=0)
    vectors = watched(shelf)
    vectors.broken["publish_many"] = lambda *_: Unavailable("away")
    files = new(a="Rain.", b="Snow.")
    with pytest.raises(Unavailable):
        await shelf.add_many(files)
    assert await shelf.documents() == ()
    vectors.broken.clear()
    assert kinds(await shelf.add_many(files)) == ["stored"] * 2
    assert shelf._embedder.embedded == 2  # type: ignore[attr-defined]
    assert (await shelf.health()).figures["chunks"] == 2


@pytest.mark.parametrize("stage", ["held_many", "missing", "upsert", "publish_many"])
@pytest.mark.parametrize("call", [1, 2, 3])
async def test_ended_at_any_call_it_shows_whole_documents_alone_and_the_next_try_ends_exact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, call: int
) -> None:
    monkeypatch.setattr(deposits, "EMBED_AT_ONCE", 2)
    shelf = library(tmp_path, embedding_cache_mib=0, chunk_tokens=16)
    files = [
        *new(**{f"n{at}": " ".join(f"Lamp {at} burns in house {row}." for row in range(9)) for at in range(3)})
    ]
    files += new(n0="Lamp 0 is new.")  # a pass of its own
    vectors = watched(shelf)
    vectors.broken[stage] = lambda *_: asyncio.CancelledError() if vectors.calls[stage] == call else None
    try:
        await shelf.add_many(files)
    except asyncio.CancelledError:
        for document in await shelf.documents():
            assert len(await shelf.chunks(document.id)) == document.chunks
    vectors.broken.clear()
    fresh = library(tmp_path, vectors, embedding_cache_mib=0, chunk_tokens=16)  # as after a restart
    assert kinds(await fresh.add_many(files)) == ["stored"] * 4
    documents = await fresh.documents()
    assert sorted(one.source for one in documents) == ["n0.txt", "n1.txt", "n2.txt"]
    chunks = [chunk.id for one in documents for chunk in await fresh.chunks(one.id)]
    assert len(set(chunks)) == len(chunks) == sum(one.chunks for one in documents)
    assert (await fresh.health()).figures["chunks"] == len(chunks)


async def test_two_that_send_the_same_files_in_other_orders_both_end(tmp_path: Path) -> None:
    shelf = library(tmp_path, embedding_cache_mib=0)
    files = new(**{f"n{number}": f"Lamp {number}." for number in range(12)})
    async with asyncio.timeout(20):
        found = await asyncio.gather(shelf.add_many(files), shelf.add_many(files[::-1]), shelf.add_many(files[3:]))
    assert {kind for added in found for kind in kinds(added)} == {"stored"}
    assert shelf._embedder.embedded == 12  # type: ignore[attr-defined]
    assert (await shelf.health()).figures["chunks"] == 12


async def test_texts_that_no_message_holds_together_are_cut_by_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deposits, "MAX_TEXT_BYTES", 30)
    shelf = library(tmp_path)
    embedder = shelf._deposits._embedder = Watched(shelf._embedder)  # type: ignore[assignment]
    added = await shelf.add_many(new(a="Rain falls. " * 2, b="Snow falls. " * 2, c="Fog.", d="Hail falls. " * 3))
    assert kinds(added) == ["stored"] * 3 + ["payload_too_large"]
    assert embedder.calls["cut_many"] == 2


async def test_nothing_is_no_work(tmp_path: Path) -> None:
    assert await library(tmp_path).add_many(()) == ()


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("123"))))
def test_no_pass_has_a_name_or_an_id_twice_and_names_keep_their_order(named: list[tuple[str, str]]) -> None:
    found = list(passes(named))
    assert sorted(at for part in found for at in part) == list(range(len(named)))
    for part in found:
        assert part
        for told in ([named[at][0] for at in part], [named[at][1] for at in part]):
            assert len(set(told)) == len(told)
    order = [at for part in found for at in part]
    for name in "abc":
        places = [at for at in order if named[at][0] == name]
        assert places == sorted(places)
