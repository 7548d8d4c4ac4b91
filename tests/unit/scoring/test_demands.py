import pytest

from pipelines.sweeps.scoring.demands import Length, demands_of


def lengths(prompt: str) -> list[tuple[str, float, float | None]]:
    return [(each.unit, each.least, each.most) for each in demands_of(prompt).lengths]


@pytest.mark.parametrize(
    ("prompt", "found"),
    [
        ("Summarise it in 50 words.", [("words", 45, 55)]),
        ("Write a 200-word story.", [("words", 180, 220)]),
        ("Write about 150 words on the sea.", [("words", 135, 165)]),
        ("Explain in three sentences.", [("sentences", 3, 3)]),
        ("Answer in one sentence", [("sentences", 1, 1)]),
        ("Describe it in a single paragraph.", [("paragraphs", 1, 1)]),
        ("Two sentences on tides, please.", [("sentences", 2, 2)]),
        ("Write at most 100 words.", [("words", 1, 100)]),
        ("Use no more than two sentences.", [("sentences", 1, 2)]),
        ("Keep it under 1,000 words.", [("words", 1, 1000)]),
        ("In 80 words or fewer, tell why.", [("words", 1, 80)]),
        ("Limit your answer to 60 words.", [("words", 1, 60)]),
        ("Write at least 300 words.", [("words", 300, None)]),
        ("Between 50 and 100 words.", [("words", 50, 100)]),
        ("Write 50-100 words in 2 paragraphs.", [("words", 50, 100), ("paragraphs", 2, 2)]),
        ("Roughly five sentences.", [("sentences", 4.5, 5.5)]),
        ("Answer in one word.", [("words", 0.9, 1.1)]),
        ("Write a hundred words.", [("words", 90, 110)]),
    ],
)
def test_a_length_that_is_asked_for_is_found(prompt: str, found: list[tuple[str, float, float | None]]) -> None:
    assert lengths(prompt) == [
        (unit, pytest.approx(least), most and pytest.approx(most)) for unit, least, most in found
    ]


@pytest.mark.parametrize(
    "prompt",
    [
        "Tell me of the sea.",
        "Which of the following two sentences is right?",
        "She spoke 300 words a minute. Why?",
        "Use other words.",
        "List five tips, each in two sentences.",
        "Write 0 words.",
        "",
    ],
)
def test_no_length_is_made_up(prompt: str) -> None:
    assert lengths(prompt) == []


@pytest.mark.parametrize(
    ("prompt", "items"),
    [
        ("Give me a list of 5 rivers.", 5),
        ("List three large rivers of Africa.", 3),
        ("Name two colours", 2),
        ("Suggest five good names for a cat.", 5),
        ("Give 3 short reasons.", 3),
        ("What are the top 10 songs?", 10),
        ("Explain tides in 4 steps", 4),
        ("Write 7 bullet points about bees", 7),
        ("Make a 12-item list", 12),
        ("List the reasons.", None),
        ("Name one river.", None),  # one is no list
        ("Write two poems.", None),
        ("List of 50% discounts", None),
        ("Give 20 dollars to each of them.", None),
    ],
)
def test_a_number_of_items_is_found(prompt: str, items: int | None) -> None:
    assert demands_of(prompt).items == items


@pytest.mark.parametrize(
    ("prompt", "asked"),
    [
        ("Return JSON with the keys a and b.", True),
        ("Answer in JSON.", True),
        ("Describe the book as a valid JSON object.", False),  # no verb of ours: missed, and that costs nothing
        ("Write the result as valid JSON.", True),
        ("Respond only with JSON", True),
        ("Output only valid JSON", True),
        ("List the planets in JSON format", True),
        ("What is JSON?", False),
        ("Explain how arrays work in JSON.", False),
        ("Give me a JSON parser in C.", False),
        ("Which JSON library do you recommend?", False),
    ],
)
def test_json_is_asked_for_or_only_spoken_of(prompt: str, asked: bool) -> None:
    assert demands_of(prompt).json is asked


def test_quoted_words_to_use_are_found_once() -> None:
    demands = demands_of('Write a poem. Use the words "sun", “moon” and "sun". He said "no" to it.')
    assert demands.quoted == ("sun", "moon")


def test_a_long_document_in_a_prompt_is_read_at_its_ends() -> None:
    prompt = "x " * 500_000 + "Summarise it in 50 words."
    assert demands_of(prompt).lengths == (Length(unit="words", least=45, most=pytest.approx(55)),)
