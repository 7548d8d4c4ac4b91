from collections.abc import Callable

import numpy as np
import pytest

from cluster.errors import BadRequest
from pipelines.sweeps.scoring import custom
from pipelines.sweeps.scoring.custom import CustomScorer
from pipelines.sweeps.scoring.scorers import Scorers, known_names, scorers_of
from pipelines.sweeps.scoring.text import score_text

Install = Callable[..., None]


def test_an_installed_scorer_is_known_and_scores(own_scorers: Install) -> None:
    own_scorers(politeness="politeness")
    assert "politeness" in known_names()
    scorers = scorers_of(["completeness", "politeness", "overall"], weights={"completeness": 1, "politeness": 1})
    found = score_text("Yes, please.", finish_reason="stop", scorers=scorers)
    assert found.scores == {"completeness": 100, "politeness": 100, "overall": 100}
    assert found.versions["politeness"] == "politeness/7"


def test_a_mapping_is_several_scores_with_the_packages_version(own_scorers: Install) -> None:
    own_scorers(parts="parts")
    found = score_text("Four", scorers=scorers_of(["parts"]), row={"repeat": 2})
    assert found.scores == {"parts_tone": 80, "parts_length": 4, "parts_seed": 2}
    assert set(found.versions.values()) == {"parts/1.2"}


def test_what_a_scorer_raises_is_the_cells_reason_and_no_more(own_scorers: Install) -> None:
    own_scorers(broken="broken", silent="silent")
    found = score_text("Yes.", finish_reason="stop", scorers=scorers_of(["broken", "silent", "completeness"]))
    assert found.scores == {"completeness": 100}
    assert found.absent["broken"] == "the scorer failed: RuntimeError: no such word"
    assert found.absent["silent"] == "the scorer gave NoneType, not a number or a mapping of numbers"


def test_one_that_cannot_be_loaded_or_called_is_refused_by_name(own_scorers: Install) -> None:
    own_scorers(lost="nothing_there", three="not_callable", Odd="politeness")
    with pytest.raises(BadRequest, match="'lost' cannot be loaded") as caught:
        scorers_of(["lost"])
    assert caught.value.param == "scorers"
    with pytest.raises(BadRequest, match="is not callable"):
        scorers_of(["three"])
    assert "Odd" not in known_names()


def test_ours_are_not_replaced_by_one_of_the_same_name(own_scorers: Install) -> None:
    own_scorers(completeness="broken")
    assert score_text("Yes.", finish_reason="stop", scorers=scorers_of(["completeness"])).scores == {
        "completeness": 100
    }


def test_a_part_cannot_take_the_name_of_one_of_ours() -> None:
    taken = CustomScorer(name="lexical", version="lexical/1", call=lambda text, prompt, row: {"diversity": 1})
    found = score_text("Yes.", scorers=Scorers(names=("lexical",), custom=[taken]))
    assert not found.scores
    assert "which is taken" in found.absent["lexical"]


def test_of_two_scorers_with_like_names_each_score_has_the_right_version() -> None:
    scorers = Scorers(
        names=("a", "a_b"),
        custom=[
            CustomScorer(name="a", version="a/1", call=lambda text, prompt, row: {"c": 1}),
            CustomScorer(name="a_b", version="a_b/2", call=lambda text, prompt, row: 2),
        ],
    )
    assert score_text("Yes.", scorers=scorers).versions == {"a_c": "a/1", "a_b": "a_b/2"}


@pytest.mark.parametrize(
    "given",
    [101, -0.1, float("nan"), float("inf"), True, "80", None, [80], 10**400, np.float64("nan"), {}, {"a": "b"}],
)
def test_what_is_no_score_is_never_stored_as_one(given: object) -> None:
    scorer = CustomScorer(name="own", version="own/1", call=lambda text, prompt, row: given)
    assert all(measure.score is None and measure.reason for measure in scorer.measure("", "", {}).values())


@pytest.mark.parametrize("given", [0, 100, 33.3, np.float32(50), np.int64(7)])
def test_any_kind_of_number_will_do(given: float) -> None:
    scorer = CustomScorer(name="own", version="own/1", call=lambda text, prompt, row: given)
    assert scorer.measure("", "", {})["own"].score == pytest.approx(float(given))


def test_what_is_installed_is_looked_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    custom.installed()
    monkeypatch.setattr(custom, "entry_points", lambda **_: pytest.fail("looked up again"))
    custom.installed()["strange"] = None  # type: ignore[assignment]
    assert "strange" not in custom.installed()
