"""The garbage collector's pause."""

import gc

import pytest

from cluster import collector


def test_it_rests_inside_and_works_again_after_a_failure() -> None:
    seen = []

    def fails() -> None:
        with collector.paused():
            seen.append(gc.isenabled())
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        fails()
    assert seen == [False]
    assert gc.isenabled()


def test_a_pause_inside_a_pause_ends_with_the_outer_one() -> None:
    with collector.paused():
        with collector.paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
