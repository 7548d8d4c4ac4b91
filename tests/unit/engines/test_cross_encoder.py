"""What is read of two texts that are too long together; the model itself is in tests/graph/test_rerank.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.config import resolve
from cluster.engines.cross_encoder import Frame, Special, shares
from cluster.errors import SettingsError

FRAME = Frame(
    before=Special(ids=[1], kinds=[0]),
    between=Special(ids=[2], kinds=[0]),
    behind=Special(ids=[2], kinds=[1]),
    kinds=(0, 1),
    room=6,
)


@pytest.mark.parametrize(
    ("lengths", "read"),
    [((2, 3), (2, 3)), ((2, 9), (2, 4)), ((9, 2), (4, 2)), ((9, 9), (3, 3)), ((4, 3), (3, 3)), ((0, 9), (0, 6))],
)
def test_the_longer_text_is_cut_first(lengths: tuple[int, int], read: tuple[int, int]) -> None:
    assert shares(*lengths, 6) == read


@given(st.integers(0, 50), st.integers(0, 50), st.integers(1, 40))
def test_all_the_room_is_used_and_no_more(first: int, second: int, room: int) -> None:
    ones, others = shares(first, second, room)
    assert ones + others == min(room, first + second)
    assert 0 <= ones <= first
    assert 0 <= others <= second


def test_a_pair_stands_in_its_frame_and_remembers_what_was_cut() -> None:
    pair = FRAME.pair([7, 7], [8] * 9)
    assert pair.ids == [1, 7, 7, 2, 8, 8, 8, 8, 2]
    assert pair.kinds == [0, 0, 0, 0, 1, 1, 1, 1, 1]
    assert pair.tokens == 11


@pytest.mark.parametrize("name", ["ms-marco-MiniLM-L6-v2", "all-MiniLM-L6-v2"])
def test_what_answers_no_chats_does_not_come_and_go_with_the_fleet(name: str) -> None:
    with pytest.raises(SettingsError, match="load: on_demand is of chat models"):
        resolve({"models": [{"id": name, "load": "on_demand"}]}, {})


def test_a_line_of_the_catalog_is_a_reranker_beside_an_embedder() -> None:
    settings = resolve({"models": [{"id": "all-MiniLM-L6-v2"}, {"id": "ms-marco-MiniLM-L6-v2"}]}, {})
    assert [model.id for model in settings.rerank_models] == ["ms-marco-MiniLM-L6-v2"]
    assert [model.id for model in settings.embedding_models] == ["all-MiniLM-L6-v2"]
    assert settings.rerank_models[0].memory == pytest.approx(0.0846, abs=1e-3)
