from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cluster.retrieval.places import places_of


@given(st.lists(st.integers(0, 5), max_size=20), st.randoms(use_true_random=False))
def test_all_places_of_some_spans_come_in_order(lengths: list[int], chance: object) -> None:
    ends = np.cumsum([0, *lengths])
    spans = [range(first, end) for first, end in pairwise(map(int, ends))][::2]
    chance.shuffle(spans)  # type: ignore[attr-defined]
    assert places_of(spans).tolist() == sorted(place for span in spans for place in span)
