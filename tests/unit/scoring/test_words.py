import pytest

from pipelines.sweeps.scoring.words import latin, unspaced, words


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Don't count 1,000.5 well-known words.", ["Don't", "count", "1,000.5", "well-known", "words"]),
        ("naïve café, l’eau", ["naïve", "café", "l’eau"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("東京 is 大きい", ["東", "京", "is", "大", "き", "い"]),
        ("snake_case", ["snake", "case"]),
        ("--- ... !", []),
    ],
)
def test_words_are_cut_in_any_script(text: str, found: list[str]) -> None:
    assert words(text) == found


def test_a_decomposed_accent_does_not_cut_a_word() -> None:
    assert words("cafe\u0301 x") == ["cafe\u0301", "x"]


@pytest.mark.parametrize(
    ("text", "is_latin", "without_spaces"),
    [
        ("Plain English.", True, False),
        ("Größe, naïveté, Việt Nam", True, False),
        ("Привет, мир", False, False),
        ("東京は大きい", False, True),
        ("a word of 日本", True, False),
        ("123", True, False),
        ("– 1 –", True, False),
    ],
)
def test_the_script_is_told_by_most_letters(text: str, is_latin: bool, without_spaces: bool) -> None:
    assert (latin(text), unspaced(text)) == (is_latin, without_spaces)
