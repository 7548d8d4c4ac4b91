import pytest

from cluster.errors import BadRequest
from pipelines.sweeps.scoring.judge import Judge
from pipelines.sweeps.scoring.overall import WEIGHTS
from pipelines.sweeps.scoring.scorers import VERSIONS, Scorers, scorers_of


def test_without_names_all_of_ours_are_asked_for() -> None:
    assert scorers_of() == Scorers()
    assert scorers_of().names == tuple(VERSIONS)
    assert scorers_of(judge=Judge(id="m", criteria={"a": "b"})).names == (*VERSIONS, "judge")


def test_the_contracts_names_have_versions() -> None:
    assert list(VERSIONS) == [
        "readability", "coherence", "creativity", "diversity", "novelty", "lexical_diversity", "completeness",
        "length_appropriateness", "specificity", "overall",
    ]  # fmt: skip
    assert all(version.startswith(f"{name}/") for name, version in VERSIONS.items())


def test_default_weights_are_those_of_what_is_asked_for() -> None:
    assert scorers_of(["readability", "overall"]).weights == {"readability": WEIGHTS["readability"]}


def test_an_unknown_scorer_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadRequest, match="no scorer 'brilliance'") as caught:
        scorers_of(["readability", "brilliance"])
    assert caught.value.param == "scorers"
    assert "length_appropriateness" in str(caught.value.hint)


def test_nothing_to_score_and_a_judge_without_one_are_refused() -> None:
    with pytest.raises(BadRequest, match="No scorer"):
        scorers_of([])
    with pytest.raises(BadRequest, match="needs a judge"):
        scorers_of(["judge"])


def test_a_judge_or_weights_that_nothing_would_use_are_refused() -> None:
    with pytest.raises(BadRequest, match="do not name 'judge'"):
        scorers_of(["readability"], judge=Judge(id="m", criteria={"a": "b"}))
    with pytest.raises(BadRequest, match="which the scorers do not name") as caught:
        scorers_of(["readability"], weights={"readability": 1})
    assert caught.value.param == "weights"


@pytest.mark.parametrize(
    ("weights", "message", "param"),
    [
        ({"brilliance": 1}, "no score that is asked for", "weights"),
        ({"coherence": 1}, "no score that is asked for", "weights"),
        ({"overall": 1}, "no score that is asked for", "weights"),
        ({"readability": -1}, "not a number from 0 up", "weights.readability"),
        ({"readability": float("nan")}, "not a number from 0 up", "weights.readability"),
        ({"readability": float("inf")}, "not a number from 0 up", "weights.readability"),
        ({"readability": True}, "not a number from 0 up", "weights.readability"),
        ({"readability": 0}, "All weights are 0", "weights"),
        ({}, "All weights are 0", "weights"),
    ],
)
def test_weights_that_mean_nothing_are_refused(weights: dict[str, float], message: str, param: str) -> None:
    with pytest.raises(BadRequest, match=message) as caught:
        scorers_of(["readability", "overall"], weights=weights)
    assert caught.value.param == param
