import pytest

from pipelines.sweeps.scoring.scorers import Scorers, scorers_of
from pipelines.sweeps.scoring.text import score_text
from tests.unit.scoring.conftest import embed

TIDES = (
    "Tides are made by the moon. The moon pulls the water of the sea towards itself. So the water rises twice a "
    "day where the coast is open. The sun pulls, too, but it is far away."
)


def test_one_answer_has_what_it_alone_allows_and_a_reason_for_the_rest() -> None:
    found = score_text(TIDES, prompt="Explain tides in four sentences.", finish_reason="stop")
    assert set(found.scores) == {"readability", "completeness", "length_appropriateness", "specificity", "overall"}
    assert found.scores["length_appropriateness"] == 100
    assert found.absent == {
        "coherence": "needs an embedding model",
        "lexical_diversity": "fewer than 50 words",
        "diversity": "needs the other repeats of its configuration",
        "novelty": "needs the greedy answer to its prompt",
        "creativity": "no diversity: needs the other repeats of its configuration",
    }
    assert found.versions["readability"] == "readability/1"
    assert found.versions.keys() == found.scores.keys()
    assert (found.features["word_count"], found.features["sentence_count"]) == (37, 4)


def test_with_an_embedder_it_has_coherence_and_the_embedders_name() -> None:
    found = score_text(TIDES, scorers=Scorers(embed=embed, embedder="by-words"))
    assert 0 <= found.scores["coherence"] <= 100
    assert found.features["embedder"] == "by-words"


def test_only_what_is_asked_for_is_computed() -> None:
    found = score_text(TIDES, scorers=scorers_of(["readability"]))
    assert (list(found.scores), found.absent) == (["readability"], {})


def test_raw_features_are_kept_apart_from_scores() -> None:
    found = score_text(TIDES)
    assert not found.features.keys() & found.scores.keys()
    assert found.stored_features()["absent"] == found.absent


def test_an_empty_answer_is_worth_nothing_and_nothing_is_guessed() -> None:
    found = score_text("", prompt="In 50 words.", finish_reason="stop")
    assert found.scores == {"completeness": 0, "length_appropriateness": 0, "overall": 0}
    assert found.absent["readability"] == "the answer has no words"


def test_a_wrong_number_of_vectors_is_the_embedders_fault_and_told() -> None:
    with pytest.raises(ValueError, match="gave 1 vectors for 4 texts"):
        score_text(TIDES, scorers=Scorers(embed=lambda texts: embed(texts[:1])))


def test_vectors_of_another_length_than_one_give_the_same() -> None:
    long = Scorers(embed=lambda texts: 3 * embed(texts))
    assert score_text(TIDES, scorers=long).scores == score_text(TIDES, scorers=Scorers(embed=embed)).scores


def test_each_sentence_is_embedded_once() -> None:
    seen: list[str] = []

    def counting(texts: list[str]) -> object:
        seen.extend(texts)
        return embed(texts)

    score_text(f"{TIDES} {TIDES}", scorers=Scorers(embed=counting))  # type: ignore[arg-type]
    assert len(seen) == len(set(seen)) == 4
