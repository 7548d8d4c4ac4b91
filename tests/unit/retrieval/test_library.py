import hashlib
from pathlib import Path

import pytest

from cluster.errors import BadRequest, ContextTooLong, DocumentNotFound, EmptyDocument, ModelNotFound
from tests.unit.retrieval.library_parts import Chat, library

WEATHER = b"Rain falls in Spain. " * 3
SNOW = b"Snow covers the Alps in winter."


async def test_a_stored_document_is_described_and_found(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    document = await shelf.add(source="weather.txt", content=WEATHER)
    assert document.id == hashlib.sha256(WEATHER).hexdigest()
    assert (document.source, document.chunks, document.characters, document.created) == (
        "weather.txt",
        1,
        len(WEATHER),
        1234,
    )
    assert await shelf.documents() == (document,)
    best = (await shelf.search("Rain in Spain", limit=3))[0]
    assert best.chunk.source == "weather.txt"
    assert best.chunk.text == WEATHER.decode()[best.chunk.start : best.chunk.end]


async def test_the_same_bytes_again_change_nothing(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    first = await shelf.add(source="weather.txt", content=WEATHER)
    assert await shelf.add(source="weather.txt", content=WEATHER) == first
    assert (await shelf.health()).figures == {"documents": 1, "chunks": 1}


async def test_a_new_version_takes_the_place_of_the_old(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    await shelf.add(source="a.txt", content=WEATHER)
    new = await shelf.add(source="a.txt", content=SNOW)
    assert await shelf.documents() == (new,)


async def test_an_answer_shows_what_it_was_made_from(tmp_path: Path) -> None:
    chat = Chat()
    shelf = library(tmp_path, [("echo", chat)])
    await shelf.add(source="weather.txt", content=WEATHER)
    await shelf.add(source="snow.txt", content=SNOW)
    answer = await shelf.answer("What covers the Alps?", limit=1, model=None, request_id="r")
    assert [passage.chunk.source for passage in answer.passages] == ["snow.txt"]
    assert "[1] Snow covers the Alps in winter." in chat.asked[0]
    assert (answer.model, answer.finish_reason) == ("echo", "stop")
    assert answer.usage.prompt_tokens > 0


async def test_without_a_passage_worth_showing_no_model_is_asked(tmp_path: Path) -> None:
    chat = Chat()
    shelf = library(tmp_path, [("echo", chat)], min_score=0.9)
    await shelf.add(source="snow.txt", content=SNOW)
    answer = await shelf.answer("Who won the race?", limit=4, model=None, request_id="r")
    assert (answer.text, answer.passages, answer.usage.total_tokens) == ("The documents don't say.", (), 0)
    assert chat.asked == []


async def test_passages_are_dropped_until_the_model_takes_the_prompt(tmp_path: Path) -> None:
    chat = Chat(room=1)
    shelf = library(tmp_path, [("echo", chat)], min_score=-1)
    for number in range(3):
        await shelf.add(source=f"{number}.txt", content=SNOW + str(number).encode())
    answer = await shelf.answer("What covers the Alps?", limit=3, model=None, request_id="r")
    assert len(answer.passages) == 1
    assert [content.count("\n[") for content in chat.asked] == [3, 2, 1]


async def test_a_question_that_fits_with_no_passage_is_refused(tmp_path: Path) -> None:
    shelf = library(tmp_path, [("echo", Chat(room=0))], min_score=-1)
    await shelf.add(source="snow.txt", content=SNOW)
    with pytest.raises(ContextTooLong):
        await shelf.answer("What covers the Alps?", limit=3, model=None, request_id="r")


async def test_a_model_that_is_not_served_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match="'other'"):
        await library(tmp_path, [("echo", Chat())]).answer("q", limit=1, model="other", request_id="r")
    with pytest.raises(ModelNotFound, match="No chat model"):
        await library(tmp_path).answer("q", limit=1, model=None, request_id="r")


async def test_removing_and_removing_again(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    document = await shelf.add(source="snow.txt", content=SNOW)
    assert await shelf.remove(document.id) == document
    assert await shelf.documents() == ()
    with pytest.raises(DocumentNotFound):
        await shelf.remove(document.id)


async def test_an_empty_query_and_an_empty_document_are_refused(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    with pytest.raises(BadRequest, match="query is empty"):
        await shelf.search("  ", limit=1)
    with pytest.raises(EmptyDocument):
        await shelf.add(source="a.txt", content=b" ")


async def test_another_cut_replaces_the_chunks(tmp_path: Path) -> None:
    shelf = library(tmp_path)
    await shelf.add(source="a.txt", content=WEATHER * 20)
    wider = library(tmp_path, chunk_tokens=64)
    wider._vectors = shelf._vectors
    document = await wider.add(source="a.txt", content=WEATHER * 20)
    assert (await wider.health()).figures == {"documents": 1, "chunks": document.chunks}
