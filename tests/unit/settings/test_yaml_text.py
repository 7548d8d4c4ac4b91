import pytest

from cluster.yaml_text import load

HOSTILE = {
    "not YAML": "a: [1,",
    "too deep": "[" * 3000 + "]" * 3000,
    "anchors that stand for billions": "\n".join(
        ["x0: &x0 [1]", *(f"x{i}: &x{i} [{', '.join([f'*x{i - 1}'] * 10)}]" for i in range(1, 12))]
    ),
    "a circle": "&a {x: *a}",
    "a number without end": "n: " + "9" * 5000,
    "a list as key": "? [1, 2]\n: x",
    "code": '!!python/object/apply:os.system ["true"]',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_yaml_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        load(text)
    assert "\n" not in str(caught.value)


def test_plain_yaml_and_a_shared_anchor_are_read() -> None:
    assert load("a: &a {b: 1}\nc: [*a, *a]") == {"a": {"b": 1}, "c": [{"b": 1}, {"b": 1}]}


def test_a_date_stays_text_also_where_it_is_none() -> None:
    """It was a ValueError alone, and no error once some library had been imported in the same process."""
    assert load("2024-01-01: 2024-13-45") == {"2024-01-01": "2024-13-45"}
