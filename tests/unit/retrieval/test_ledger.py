from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import DocumentNotFound
from cluster.filters import parse_filter
from cluster.stores.ledger import Change, Ledger, Record
from tests.unit.retrieval.vector_parts import CUT, document


def record(name: str, *sources: str, **more: object) -> Record:
    return Record(
        document=document(name, source=sources[-1] if sources else "gone"), sources=sources, chunker=CUT, **more
    )  # type: ignore[arg-type]


def published(ledger: Ledger, name: str, **more: object) -> Change:
    change = ledger.publish(document(name, **more), CUT)  # type: ignore[arg-type]
    ledger.apply(change)
    return change


def test_one_change_says_what_comes_and_what_leaves() -> None:
    ledger = Ledger([record("old", "a.txt")])
    change = published(ledger, "new")
    assert {one.document.id: one.sources for one in change.saved} == {"old": (), "new": ("a.txt",)}
    assert [one.document.id for one in ledger.unfinished()] == ["old"]
    assert ledger.finished("old") is None
    assert ledger.unfinished() == ()


def test_nothing_to_write_where_nothing_changes() -> None:
    ledger = Ledger([record("d1", "a.txt")])
    assert ledger.publish(document("d1"), CUT) == Change()
    assert ledger.unpublish(["b.txt"]) == Change()
    assert ledger.annotate("d1", tags=(), metadata={}) == Change()


def test_what_was_not_finished_is_known_after_a_restart() -> None:
    ledger = Ledger([record("leaving"), record("recut", "b.txt", recut=True), record("kept", "c.txt")])
    assert {one.document.id for one in ledger.unfinished()} == {"leaving", "recut"}
    assert {one.id for one in ledger.documents()} == {"recut", "kept"}
    left = ledger.finished("recut")
    assert left is not None
    assert left == record("recut", "b.txt")
    assert ledger.find("recut") == left


def test_a_document_that_comes_back_before_its_old_chunks_are_gone_loses_only_those_of_other_cuts() -> None:
    ledger = Ledger([record("d1", "a.txt")])
    ledger.apply(ledger.removal("d1"))
    change = ledger.publish(document("d1"), "cut-2")
    assert [one.recut for one in change.saved] == [True]


def test_a_name_that_moved_on_is_not_lost_with_the_document_that_had_it() -> None:
    ledger = Ledger()
    published(ledger, "d1", source="a.txt")
    published(ledger, "d1", source="b.txt")
    published(ledger, "d2", source="a.txt")
    ledger.apply(ledger.removal("d1"))
    ledger.apply(ledger.unpublish(["a.txt"]))
    assert ledger.documents() == ()


def test_tags_and_metadata_of_an_older_version_stay() -> None:
    ledger = Ledger()
    published(ledger, "d1", tags=("a", "b"), metadata={"year": 1, "kind": "x"})
    published(ledger, "d2", tags=("b", "c"), metadata={"year": 2})
    (left,) = ledger.documents()
    assert (left.id, left.tags, left.metadata) == ("d2", ("a", "b", "c"), {"year": 2, "kind": "x"})


def test_a_filter_is_asked_again_when_something_changed() -> None:
    ledger = Ledger()
    published(ledger, "d1", metadata={"n": 1})
    ones, true = ({"type": "eq", "key": "n", "value": value} for value in (1, True))
    assert ledger.matching(parse_filter(ones, param="where")) == {"d1"}
    assert ledger.matching(parse_filter(true, param="where")) == frozenset()
    published(ledger, "d2", source="b.txt", metadata={"n": 1})
    assert ledger.matching(parse_filter(ones, param="where")) == {"d1", "d2"}


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["a", "b", "gone"])), max_size=30))
def test_a_remembered_filter_keeps_up_with_what_changes(steps: list[tuple[int, str]]) -> None:
    ledger, kept = Ledger(), {}
    wanted = parse_filter({"type": "eq", "key": "kind", "value": "a"}, param="where")
    for number, kind in steps:
        name = f"d{number}"
        if kind == "gone":
            ledger.apply(ledger.unpublish([f"{name}.txt"]))
            kept.pop(name, None)
        else:
            published(ledger, name, source=f"{name}.txt", metadata={"kind": kind})
            kept[name] = kind
        if number % 2:
            assert ledger.matching(wanted) == {name for name, kind in kept.items() if kind == "a"}
    assert ledger.matching(wanted) == {name for name, kind in kept.items() if kind == "a"}


def test_a_filter_that_nobody_asks_any_more_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cluster.stores.ledger.MOST_CHANGED", 3)
    ledger = Ledger()
    wanted = parse_filter({"type": "eq", "key": "kind", "value": "a"}, param="where")
    for number in range(9):
        ledger.matching(wanted) if number < 2 else None
        published(ledger, f"d{number}", source=f"{number}.txt", metadata={"kind": "a"})
    assert not ledger._matching
    assert len(ledger.matching(wanted)) == 9


def test_an_unknown_document_is_refused() -> None:
    ledger = Ledger()
    for ask in (ledger.find, ledger.removal, lambda name: ledger.annotate(name, tags=None, metadata=None)):
        with pytest.raises(DocumentNotFound, match="d9"):
            ask("d9")


def test_a_record_without_new_fields_is_read_as_it_was_meant() -> None:
    old = Record(document=replace(document("d1"), tags=(), metadata={}), sources=("a.txt",), chunker=CUT)
    assert Ledger([old]).unfinished() == ()
