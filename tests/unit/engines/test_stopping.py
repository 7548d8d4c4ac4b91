import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.engines.stopping import StopMatcher


def shown(pieces: list[str], stops: list[str]) -> str:
    matcher = StopMatcher(stops)
    text = "".join(matcher.push(piece) for piece in pieces)
    return text + matcher.flush()


@settings(max_examples=50)
@given(st.lists(st.text("abc", max_size=4)), st.lists(st.text("abc", min_size=1, max_size=3), max_size=3))
def test_pieces_show_what_the_whole_text_shows(pieces: list[str], stops: list[str]) -> None:
    text = "".join(pieces)
    ends = [text.index(stop) for stop in stops if stop in text]
    found = shown(pieces, stops)
    if not ends:
        assert found == text
    else:
        # Text that was shown before a longer stop string could be ruled out stays shown: never more than that.
        assert text.startswith(found)
        assert not any(stop in found for stop in stops)


def test_text_that_cannot_begin_a_stop_is_shown_at_once() -> None:
    assert StopMatcher(["END"]).push("a bEc") == "a bEc"


@pytest.mark.parametrize("piece", ["E", "EN"])
def test_text_that_may_begin_a_stop_is_held_back(piece: str) -> None:
    matcher = StopMatcher(["END"])
    assert matcher.push(f"a{piece}") == "a"
    assert matcher.flush() == piece


def test_the_stop_that_came_first_is_the_one_that_was_met() -> None:
    matcher = StopMatcher(["END", "b"])
    assert matcher.met is None
    assert (matcher.push("a bEND"), matcher.met, matcher.stopped) == ("a ", "b", True)
