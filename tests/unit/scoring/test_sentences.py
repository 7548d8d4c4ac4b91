import pytest

from pipelines.sweeps.scoring.sentences import sentences


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        (
            "Dr. Smith met J. Doe at 3.15 p.m. today. They left.",
            ["Dr. Smith met J. Doe at 3.15 p.m. today.", "They left."],
        ),
        ("He said “Go.” She went.", ["He said “Go.”", "She went."]),
        ("Wait... what? Yes.", ["Wait... what?", "Yes."]),
        ("Fruit, e.g. Apples, is good.", ["Fruit, e.g. Apples, is good."]),
        ("So do I. You do.", ["So do I.", "You do."]),
        ("水は冷たい。火は熱い！", ["水は冷たい。", "火は熱い！"]),
        ("पहला वाक्य। दूसरा वाक्य।", ["पहला वाक्य।", "दूसरा वाक्य।"]),
        ("...", []),
        ("", []),
        ("Version 1.2.3 is out. Get it.", ["Version 1.2.3 is out.", "Get it."]),
    ],
)
def test_a_paragraph_is_cut_where_a_reader_would(text: str, found: list[str]) -> None:
    assert sentences(text) == found
