import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.sweeps.axis import Bounds, Listed, Stepped, read_axis

SHARE = Bounds(least=0, most=2)
TOKENS = Bounds(whole=True, least=1, most=1_000_000)


def values(given: object, bounds: Bounds = SHARE) -> list[float]:
    axis = read_axis(given, bounds)
    return [axis.at(place) for place in range(axis.count)]


def test_a_tenth_to_one_by_a_tenth_is_ten_values_without_dust() -> None:
    assert values({"min": 0.1, "max": 1.0, "step": 0.1}) == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_a_range_stops_below_a_greatest_value_off_its_grid() -> None:
    assert values({"min": 0, "max": 1, "step": 0.4}) == [0.0, 0.4, 0.8]


def test_a_range_of_whole_numbers_holds_whole_numbers() -> None:
    found = values({"min": 16, "max": 64, "step": 16}, TOKENS)
    assert found == [16, 32, 48, 64]
    assert all(isinstance(value, int) for value in found)


def test_minus_zero_and_zero_are_one_value() -> None:
    assert str(read_axis(-0.0, SHARE).at(0)) == "0.0"


@given(st.integers(0, 150), st.integers(0, 50), st.sampled_from([0.01, 0.05, 0.1, 0.25]))
def test_a_range_is_what_a_person_would_write_down(first: int, more: int, step: float) -> None:
    scale = round(1 / step)
    least, most = (first % scale) / scale, ((first % scale) + more % scale) / scale
    axis = read_axis({"min": least, "max": most, "step": step}, SHARE)
    assert axis.count == more % scale + 1
    assert [axis.at(place) for place in range(axis.count)] == [
        float(f"{((first % scale) + place) / scale:.2f}") for place in range(axis.count)
    ]
    assert isinstance(axis, Stepped)
    assert axis.total() == pytest.approx(sum(axis.at(place) for place in range(axis.count)))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("hot", "a number from 0 to 2"),
        ([0.1, None], "a number from 0 to 2"),
        (2.5, "from 0 to 2"),
        (True, "a number"),
        ([0.5, 0.5], "twice"),
        ({"min": 1, "max": 0, "step": 0.1}, "above max"),
        ({"min": 0, "max": 1, "step": 0}, "above 0"),
        ({"min": 0, "max": 1}, "step is missing"),
        ({"min": 0, "max": 1, "step": 0.1, "stop": 1}, "unknown key 'stop'"),
        (float("nan"), "from 0 to 2"),
        ({"min": 0, "max": 1, "step": -0.1}, "above 0"),
        ({"min": 0, "max": float("nan"), "step": 0.1}, "from 0 to 2"),
        ({"min": 1, "max": 1.5, "step": 1e-17}, "too small"),
    ],
)
def test_what_is_no_axis_is_refused_with_what_would_be(given: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_axis(given, SHARE)


def test_an_empty_list_is_an_axis_without_values() -> None:
    assert read_axis([], SHARE) == Listed(values=())
