from dataclasses import asdict

import numpy as np
import pytest

from cluster.errors import BadRequest
from pipelines.analysis.insights import insights
from tests.unit.analysis.sweeps import frame, world

GRID = {"model": ["a", "b"], "temperature": [0, 0.5, 1]}


def test_every_sentence_carries_n_the_test_the_adjusted_p_and_the_interval():
    told = insights(frame(world(1, 20, 6, effect=[0, 0, 0, 5, 5, 30]), GRID), "overall")
    assert told.refusal is None
    assert {each.kind for each in told.sentences} == {"winner", "effect", "interaction", "correlation"}
    for each in told.sentences:
        assert f"n = {each.n} prompts" in each.text
        assert each.test in each.text
        assert "adjusted p" in each.text
        assert "95 % interval" in each.text
        assert each.low <= each.high
        assert asdict(each)["metric"] == "overall"


def test_what_was_found_comes_first():
    told = insights(frame(world(2, 16, 6, effect=[0, 0, 0, 9, 9, 9]), GRID), "overall")
    found = [each.significant for each in told.sentences]
    assert found == sorted(found, reverse=True)
    assert told.sentences[0].factors == ("model",)


def test_equals_are_said_to_have_no_detectable_winner_and_no_effect():
    told = insights(frame(world(3, 16, 6), GRID), "overall")
    text = " ".join(each.text for each in told.sentences)
    assert "No detectable winner in overall" in text
    assert "No effect of temperature on overall was found" in text
    assert not any(each.significant for each in told.sentences)


def test_temperature_is_said_to_do_only_what_was_measured():
    falling = insights(frame(world(4, 20, 4, effect=[9, 6, 3, 0])), "overall")
    [sentence] = [each for each in falling.sentences if each.kind == "correlation"]
    assert "higher temperature went with lower overall" in sentence.text
    assert sentence.high < 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (world(1, 4, 3), "4 prompts"),
        (world(1, 1, 3), "1 prompt:"),
        (world(1, 8, 3, 1), "1 repeat"),
        (world(1, 8, 1), "one configuration"),
    ],
)
def test_too_little_is_refused_with_the_reason(values, words):
    told = insights(frame(values), "overall")
    assert told.sentences == ()
    assert words in (told.refusal or "")


def test_a_metric_that_nothing_has_is_refused_with_the_reason():
    assert "no cell has cost" in (insights(frame(world(1, 8, 3)), "cost").refusal or "")


def test_a_constant_metric_leaves_only_that_there_is_no_winner():
    told = insights(frame(np.full((8, 4, 3), 0.3), {"model": ["a", "b"], "temperature": [0, 1]}), "overall")
    assert [each.kind for each in told.sentences] == ["winner"]
    assert not told.sentences[0].significant


def test_failed_cells_leave_insights_standing():
    values = world(5, 16, 6, effect=[0, 0, 0, 9, 9, 9])
    values[np.random.default_rng(0).random((16, 6)) < 0.1] = np.nan
    told = insights(frame(values, GRID), "overall")
    assert any(each.factors == ("model",) and each.significant for each in told.sentences)


def test_a_model_that_failed_altogether_is_no_crash():
    values = world(6, 10, 6)
    values[:, 3:] = np.nan
    assert insights(frame(values, GRID), "overall").refusal is None


def test_equal_prompts_and_a_perfect_effect_are_no_crash():
    values = np.broadcast_to(np.array([[0.0], [5.0]]), (8, 2, 2))
    told = insights(frame(values), "overall")
    assert any(each.kind == "effect" and each.significant for each in told.sentences)


def test_an_unknown_metric_is_refused():
    with pytest.raises(BadRequest):
        insights(frame(world(1, 5, 3)), "charm")


def test_without_an_effect_few_sentences_find_one():
    found = [
        any(each.significant for each in insights(frame(world(seed, 12, 4, 2)), "overall").sentences)
        for seed in range(10)
    ]
    assert np.mean(found) <= 0.4  # three kinds, each at 5 %


def test_a_rival_that_was_hardly_measured_is_why_there_is_no_winner():
    values = world(1, 12, 3, 2, effect=[0, 0, 40])
    values[1:, 0] = np.nan
    [sentence] = [each for each in insights(frame(values), "overall").sentences if each.kind == "winner"]
    assert not sentence.significant
    assert "needs two prompts that both configurations have" in sentence.text
    assert "0 configurations" not in sentence.text


def test_levels_that_share_one_prompt_only_are_no_finding():
    values = world(1, 12, 3, 2)
    values[1:, 2] = np.nan
    values[0, 2] = 100.0
    told = insights(frame(values), "overall")
    assert [each.kind for each in told.sentences] == ["missing"]
