"""What counts as a word, and which words are one."""

import bm25s
import pytest
import Stemmer
from bm25s.stopwords import STOPWORDS_EN
from hypothesis import given, settings
from hypothesis import strategies as st

from cluster.retrieval.analyser import MAX_TERM, STOP_WORDS, Analyser

analyser = Analyser()


def test_stop_words_are_those_of_bm25s():
    assert frozenset(STOPWORDS_EN) == STOP_WORDS


@given(text=st.text(st.sampled_from("abcdefghij THEof,.;:!?'\"()-\n\t12"), max_size=80))
@settings(max_examples=60, deadline=None)
def test_plain_text_gives_the_terms_of_bm25s(text: str):
    text = text.replace(".", ". ")  # numbers with points are ours
    theirs = bm25s.tokenize(
        [text], stopwords="en", stemmer=Stemmer.Stemmer("english"), return_ids=False, show_progress=False
    )[0]
    assert analyser.all_terms(text) == [term for term in theirs if term]


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("The vllm_norms module", "vllm_norms"),
        ("The vllm_norms module", "norms"),
        ("the __init__ file", "init"),
        ("Heliostat v0.29.0 is out", "0.29.0"),
        ("version 1.5 of it", "v1.5"),
        ("in 2026", "2026"),
        ("LIBRARIES", "library"),
        ("a café", "cafe"),
        ("the ﬁle system", "file"),  # a ligature, as PDFs have them
        ("ｆｕｌｌ width", "full"),
        ("ab\u00adout sof\u00adtware", "software"),  # soft hyphens
        ("cafe\u0301s", "café"),  # an accent apart
        ("Straße", "STRASSE"),
        ("日本語の文章", "文章"),
        ("日本語の文章", "文"),
        ("データベース設計", "データ"),
        ("ภาษาไทย", "ไทย"),
        ("हिन्दी भाषा", "हिन्दी"),
        ("한국어 문서", "문서"),
        ("файлы и папки", "папки"),
        ("𠮷野家", "野家"),
    ],
)
def test_found_by(written: str, asked: str):
    terms = set(analyser.all_terms(asked))
    assert terms
    assert terms & set(analyser.all_terms(written))


def test_two_words_in_devanagari_are_not_one_because_of_a_vowel_sign():
    assert len(analyser.all_terms("हिन्दी भाषा")) == 2


@pytest.mark.parametrize("text", ["", "a", "the", "_____", "!!!", "\x00\x01", "\u200b", "x y z"])
def test_no_terms_in(text: str):
    assert analyser.all_terms(text) == []


def test_a_run_of_data_is_one_bounded_term():
    terms = analyser.all_terms("A" * 5_000_000)
    assert terms == ["a" * MAX_TERM]


@given(text=st.text(max_size=200))
@settings(max_examples=60, deadline=None)
def test_any_text_has_bounded_terms(text: str):
    terms = analyser.all_terms(text)
    assert all(0 < len(term) <= MAX_TERM for term in terms)
    assert len(terms) <= 8 * max(len(text), 1)
