"""A run's notes on its files."""

from collections.abc import Iterable

import pytest

from cluster.stores.document_states import DocumentState, State
from pipelines.documents import journal as module
from pipelines.documents.journal import WRITE_EVERY_S, Journal
from tests.unit.documents.house import States


class Counting(States):
    def __init__(self) -> None:
        super().__init__()
        self.saves: list[list[str]] = []

    def save(self, states: Iterable[DocumentState]) -> None:
        kept = list(states)
        self.saves.append([state.source for state in kept])
        super().save(kept)


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_notes_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WRITE_AT", 3)
    states = Counting()
    journal = Journal(states, "docs", timer=Time())
    for source in "abacd":
        journal.note(source, state=State.READING)
    journal.write()
    journal.write()
    assert states.saves == [["a", "b", "c"], ["d"]]


def test_a_note_waits_a_second_at_most_for_the_next_one() -> None:
    states, timer = Counting(), Time()
    journal = Journal(states, "docs", timer=timer)
    journal.note("a", state=State.READING)
    timer.now = WRITE_EVERY_S + 0.1
    journal.note("b", state=State.READING)
    assert states.saves == [["a", "b"]]


def test_what_says_nothing_new_is_not_written() -> None:
    states = Counting()
    Journal(states, "docs").note("a", state=State.QUEUED)
    journal = Journal(states, "docs")
    journal.note("a", chunks=2)
    journal.write()
    again = Journal(states, "docs")
    again.note("a", chunks=2)
    again.write()
    assert states.saves == [["a"]]
    assert again.known["a"].chunks == 2


def test_forgotten_sources_are_known_no_more() -> None:
    states = Counting()
    journal = Journal(states, "docs")
    journal.note("a", chunks=1)
    journal.forget(["a"])
    assert (journal.known, states.of("docs")) == ({}, {})
