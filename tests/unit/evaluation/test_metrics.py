"""Our metrics against trec_eval's own code, over made-up judgements, and at their edges."""

import math
import random

import pytest
import pytrec_eval

from pipelines.documents.evaluation.metrics import ndcg, percentile, recall, reciprocal_rank

MEASURES = {"ndcg_cut.10", "recall.10,100", "recip_rank"}


def made_up(seed: int) -> tuple[list[str], dict[str, int]]:
    """A ranking and judgements: graded ones, negative ones, and some of documents that were not found."""
    chance = random.Random(seed)
    documents = [f"d{number}" for number in range(chance.randint(1, 160))]
    ranking = chance.sample(documents, chance.randint(1, len(documents)))
    judged = {document: chance.choice([-1, 0, 0, 1, 1, 2, 3]) for document in documents if chance.random() < 0.3}
    return ranking, judged | {documents[0]: 1}


@pytest.mark.parametrize("seed", range(40))
def test_every_metric_is_what_trec_eval_says(seed: int) -> None:
    ranking, judged = made_up(seed)
    run = {document: float(len(ranking) - rank) for rank, document in enumerate(ranking)}
    theirs = pytrec_eval.RelevanceEvaluator({"q": judged}, MEASURES).evaluate({"q": run})["q"]
    ours = {
        "ndcg_cut_10": ndcg(ranking, judged, depth=10),
        "recall_10": recall(ranking, judged, depth=10),
        "recall_100": recall(ranking, judged, depth=100),
        "recip_rank": reciprocal_rank(ranking, judged, depth=len(ranking)),
    }
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_ndcg_is_one_for_the_best_ranking_and_falls_with_the_rank() -> None:
    judged = {"a": 2, "b": 1}
    assert ndcg(["a", "b", "c"], judged, depth=10) == pytest.approx(1)
    assert ndcg(["c", "a", "b"], judged, depth=10) == pytest.approx(
        (2 / math.log2(3) + 1 / math.log2(4)) / (2 + 1 / math.log2(3))
    )


def test_what_is_below_the_depth_does_not_count() -> None:
    judged = {"z": 1}
    ranking = [str(number) for number in range(10)] + ["z"]
    assert ndcg(ranking, judged, depth=10) == 0
    assert recall(ranking, judged, depth=10) == 0
    assert reciprocal_rank(ranking, judged, depth=10) == 0
    assert reciprocal_rank(ranking, judged, depth=11) == pytest.approx(1 / 11)


@pytest.mark.parametrize("metric", [ndcg, recall, reciprocal_rank])
def test_nothing_found_and_nothing_relevant_are_both_zero(metric) -> None:
    assert metric([], {"a": 1}, depth=10) == 0
    assert metric(["a"], {}, depth=10) == 0
    assert metric(["a"], {"a": 0, "b": -1}, depth=10) == 0


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile(list(range(1, 101)), 0.95) == 95
    assert percentile([7], 0.95) == 7
