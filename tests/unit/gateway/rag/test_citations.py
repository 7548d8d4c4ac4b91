"""What an answer has from its passages word for word, and what it has not."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployments.gateway.rag.citations import Cited, _Source, _tokens, cite
from tests.unit.gateway.rag.passages import passage

MILL = "The mill of Orla Venn stands by the river Tamsin.\nIt grinds   barley on Thursdays, and rye never."
BRIDGE = "The toll of the Amber Bridge is three copper coins."


def quotes(found: Cited) -> list[tuple[int, str]]:
    return [(one.index, quote.text) for one in found.citations for quote in one.quotes]


def test_words_in_the_same_order_are_a_quote_with_its_span_in_the_document() -> None:
    found = cite("Venn's mill grinds barley on Thursdays only.", [passage(MILL, start=1000)])
    (quote,) = found.citations[0].quotes
    assert quote.text == "grinds   barley on Thursdays"
    assert MILL[quote.start - 1000 : quote.end - 1000] == quote.text
    assert "Venn's mill grinds barley on Thursdays only."[quote.answer_start : quote.answer_end] == (
        "grinds barley on Thursdays"
    )


@pytest.mark.parametrize(
    ("answer", "quote"),
    [
        ("Three copper coins.", "three copper coins"),
        ("three Copper coins", "three copper coins"),
        ("Amber [1].", "Amber"),
        ("Three copper coins. [1]", "three copper coins"),
    ],
)
def test_a_short_answer_is_a_quote_as_a_whole(answer: str, quote: str) -> None:
    assert quotes(cite(answer, [passage(BRIDGE)])) == [(1, quote)]


@pytest.mark.parametrize(
    "answer",
    [
        "The toll is paid in copper.",  # no run of four words
        "Coins copper three.",
        "Of the.",
        "It is four copper coins of the bridge of amber.",
        "",
        "[1]",
        "…",
    ],
)
def test_other_words_are_no_quote(answer: str) -> None:
    assert quotes(cite(answer, [passage(BRIDGE)])) == []


def test_each_sentence_quotes_the_passage_that_it_names() -> None:
    same = "Both say that the gate is shut at night."
    found = cite("The gate is shut at night [2].", [passage(same), passage(same), passage(BRIDGE)])
    assert quotes(found) == [(2, "the gate is shut at night")]
    assert [one.cited for one in found.citations] == [False, True, False]


def test_a_number_after_the_full_stop_belongs_to_its_sentence() -> None:
    same = "the gate is shut at night"
    found = cite("The gate is shut at night. [2] The toll of the Amber Bridge is high. [3]", [
        passage(same), passage(same), passage(BRIDGE),
    ])  # fmt: skip
    assert quotes(found) == [(2, "the gate is shut at night"), (3, "The toll of the Amber Bridge is")]


def test_a_passage_that_is_only_named_is_cited_without_a_quote() -> None:
    found = cite("You pay coins to cross [1, 2].", [passage(BRIDGE), passage(MILL), passage(MILL)])
    assert [one.cited for one in found.citations] == [True, True, False]
    assert quotes(found) == []


def test_numbers_of_no_passage_are_nobodys() -> None:
    found = cite("You pay [0] coins [7] [999999].", [passage(BRIDGE)])
    assert [one.marks for one in found.citations] == [()]


def test_quotation_marks_around_what_nobody_says_are_told() -> None:
    answer = 'The sign says "three copper coins" and “four silver coins”, «the toll».'
    found = cite(answer, [passage(BRIDGE)])
    assert quotes(found) == [(1, "three copper coins"), (1, "The toll")]
    assert found.unverified == ("four silver coins",)


def test_one_answer_quotes_several_passages_and_places() -> None:
    answer = "The toll of the Amber Bridge is three copper coins. It grinds barley on Thursdays, and rye never."
    found = cite(answer, [passage(MILL), passage(BRIDGE)])
    assert quotes(found) == [(1, "It grinds   barley on Thursdays, and rye never"), (2, BRIDGE[:-1])]


def test_figures_with_a_point_are_not_cut_into_sentences() -> None:
    text = "The price rose by 3.5 per cent in 1999."
    assert quotes(cite("3.5 per cent", [passage(text)])) == [(1, "3.5 per cent")]
    assert quotes(cite("3.6 per cent", [passage(text)])) == []


WORDS = st.sampled_from(
    ["the", "mill", "Grinds", "barley.", "[1]", "[2]", '"', "“", "”", "3.5", "\n", "…", "é", "["]
)
TEXTS = st.lists(WORDS, max_size=30).map(" ".join) | st.text(max_size=40)


@settings(max_examples=60, deadline=None, database=None, derandomize=True)
@given(answer=TEXTS, texts=st.lists(TEXTS.filter(bool), max_size=3))
def test_every_quote_stands_in_its_passage(answer: str, texts: list[str]) -> None:
    passages = [passage(text, start=17) for text in texts]
    for citation in cite(answer, passages).citations:
        for quote in citation.quotes:
            text = texts[citation.index - 1]
            assert text[quote.start - 17 : quote.end - 17] == quote.text != ""
            said = answer[quote.answer_start : quote.answer_end]
            assert "".join(said.split()).casefold() == "".join(quote.text.split()).casefold()


def test_a_long_answer_that_repeats_itself_is_read_in_no_time() -> None:
    found = cite("the toll of the " * 300, [passage(BRIDGE) for _ in range(20)])
    assert found.citations[0].quotes


@pytest.mark.parametrize(
    "answer", ["the " * 4000, "." * 60_000 + "x", "“" * 120_000, "«" * 120_000, "[1,1" * 15_000]
)
def test_what_a_model_repeats_without_end_costs_its_length(answer: str) -> None:
    """A gateway answers nobody else meanwhile: `the the the` of a document took it a minute."""
    began = time.process_time()
    cite(answer, [passage("the " * 256) for _ in range(6)])
    assert time.process_time() - began < 30  # seconds; 2 on two slow cores


def test_runs_are_the_longest_there_are() -> None:
    """From each word on, against looking at every place."""
    text, said = "a b a c a b a b d", "a b a b d x c a b a c"
    found = _Source(1, passage(text)).longest(_tokens(said))
    mine, words = text.split(), said.split()
    for at, (place, length) in enumerate(found):
        lengths = [common(mine[start:], words[at:]) for start in range(len(mine))]
        assert length == max(lengths)
        assert not length or place == lengths.index(length)


def common(one: list[str], other: list[str]) -> int:
    return next(
        (at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
