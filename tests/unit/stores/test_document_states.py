"""Notes on the files that were read into collections."""

from dataclasses import replace

import pytest
from sqlalchemy import Engine

from cluster.stores.document_states import AT_ONCE, DocumentState, DocumentStates, State


@pytest.fixture
def states(database: Engine) -> DocumentStates:
    return DocumentStates(database)


def state(source: str = "a.txt", collection: str = "docs", **fields: object) -> DocumentState:
    return DocumentState(collection=collection, source=source, updated=1.5, **fields)


def test_a_note_is_kept_and_replaced_by_the_next_on_its_source(states: DocumentStates) -> None:
    first = state(path="/a.txt", stamp="1:2", document_id="d" * 64, state=State.READING)
    states.save([first, state("b.txt", "other")])
    assert states.of("docs") == {"a.txt": first}
    second = replace(first, state=State.FAILED, code="broken_document", message="a.txt: broken", hint="mend it")
    states.save([second])
    assert states.of("docs") == {"a.txt": second}
    assert list(states.of("other")) == ["b.txt"]


def test_more_notes_than_one_statement_takes_are_written_at_once(states: DocumentStates) -> None:
    states.save(state(f"{number}.txt") for number in range(AT_ONCE + 1))
    assert len(states.of("docs")) == AT_ONCE + 1


def test_the_last_of_two_notes_on_one_source_counts(states: DocumentStates) -> None:
    states.save([state(chunks=1), state(chunks=2)])
    assert states.of("docs")["a.txt"].chunks == 2


def test_sources_and_whole_collections_are_forgotten(states: DocumentStates) -> None:
    states.save([state("a.txt"), state("b.txt"), state("c.txt", "other")])
    states.forget("docs", ["a.txt", "unknown"])
    assert list(states.of("docs")) == ["b.txt"]
    states.forget("docs")
    assert (states.of("docs"), list(states.of("other"))) == ({}, ["c.txt"])


def test_names_of_any_length_and_with_characters_no_database_takes_are_kept_as_they_can_be(
    states: DocumentStates,
) -> None:
    states.save([state("x" * 5000), state("nul\0.txt")])
    assert sorted(map(len, states.of("docs"))) == [8, 5000]
