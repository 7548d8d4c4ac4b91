import pytest

from pipelines.sweeps.scoring.completeness import completeness


@pytest.mark.parametrize(
    ("text", "reason", "score"),
    [
        ("All is said.", "stop", 100),
        ("All is said", "stop", 70),
        ("All is said.", "length", 50),
        ("All is s", "length", 20),
        ("", "stop", 0),
        (" \n ", "stop", 0),
        ("```python\nprint(1)\n```", "stop", 100),
        ("```python\nprint(1)", "stop", 60),  # the fence is open, and nothing ends a sentence
        ("A (bracket.", "stop", 90),
        ("1) one\n2) two.", "stop", 100),
        ("Say ]this[.", "stop", 90),
        ("He said “yes.”", "stop", 100),
    ],
)
def test_completeness_is_the_documented_sum(text: str, reason: str, score: float) -> None:
    assert completeness(text, reason) == score
