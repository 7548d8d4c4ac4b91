"""Win rates from verdicts: by prompt, with an interval and a test."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import ttest_1samp

from cluster.stores.run_pairs import schema
from pipelines.analysis.preferences import Preferences, limits, preferences


def verdict(prompt: int, first: str, second: str, votes: tuple[int, int, int], repeat: int = 1, **more: Any) -> Any:
    wins, losses, ties = votes
    return {
        "judge": "j",
        "judge_prompt_hash": "h",
        "judge_repeats": 1,
        "version": "pairs/1",
        "criteria": '{"quality": "good"}',
        "prompt_id": f"p{prompt}",
        "prompt_hash": f"h{prompt}",
        "repeat": repeat,
        "first_config": first,
        "second_config": second,
        "first_cell": f"{first}{prompt}{repeat}",
        "second_cell": f"{second}{prompt}{repeat}",
        "material": "m",
        "identical": False,
        "first_wins": wins,
        "second_wins": losses,
        "ties": ties,
        "swayed": 0,
        "broken": 0,
        "judged": datetime(2026, 1, 1, tzinfo=UTC),
        **more,
    }


def found(rows: list[Any]) -> Preferences:
    return preferences(pa.Table.from_pylist(rows, schema=schema()))


WIN, LOSS, TIE = (1, 0, 0), (0, 1, 0), (0, 0, 1)


def test_a_prompt_is_one_sample_whatever_its_repeats() -> None:
    rows = [verdict(1, "a", "b", WIN, repeat) for repeat in range(1, 10)] + [verdict(2, "a", "b", LOSS)]
    [pair] = found(rows).pairs
    assert (pair.prompts, pair.wins, pair.losses, pair.win_rate) == (2, 9, 1, 50)
    assert pair.p == 1


def test_a_tie_is_half_a_win() -> None:
    [pair] = found([verdict(1, "a", "b", WIN), verdict(2, "a", "b", TIE)]).pairs
    assert (pair.win_rate, pair.ties) == (75, 1)


def test_under_fifteen_prompts_the_test_is_exact_and_above_it_is_the_paired_t() -> None:
    [few] = found([verdict(n, "a", "b", WIN) for n in range(6)]).pairs
    assert (few.p, few.test) == (pytest.approx(2 / 2**6), "exact paired permutation test")
    votes = [WIN] * 14 + [LOSS] * 6
    [many] = found([verdict(n, "a", "b", one) for n, one in enumerate(votes)]).pairs
    assert many.p == pytest.approx(ttest_1samp([1.0] * 14 + [0.0] * 6, 0.5).pvalue)


def test_all_pairs_of_a_judge_are_one_family() -> None:
    rows = [verdict(n, *pair, WIN) for n in range(8) for pair in (("a", "b"), ("a", "c"), ("b", "c"))]
    judged = found(rows)
    assert (judged.correction, judged.family) == ("westfall-young", 3)
    assert all(one.p_adjusted == pytest.approx(2 / 2**8) for one in judged.pairs)  # by Holm three times as much
    assert [one.config_id for one in judged.standings] == ["a", "b", "c"]
    assert [one.win_rate for one in judged.standings] == [100, 50, 0]


def test_unanimous_prompts_are_not_certain() -> None:
    mean, low, high = limits(np.ones(10))
    assert (mean, high) == (1, 1)
    assert low is not None
    assert 0.5 < low < 0.8
    assert limits(np.ones(1)) == (1, None, None)
    assert limits(np.array([np.nan])) == (None, None, None)


def test_a_pair_without_a_verdict_has_no_figures_and_is_not_tested() -> None:
    rows = [verdict(n, "a", "b", (0, 0, 0), broken=1) for n in range(3)]
    judged = found(rows)
    [pair] = judged.pairs
    assert (pair.win_rate, pair.p, pair.significant, pair.broken) == (None, None, False, 3)
    assert pair.reason == "no verdict could be read"
    assert (judged.family, judged.broken, judged.swayed) == (0, 1, None)


def test_the_interval_covers_what_it_should() -> None:
    draws = np.random.default_rng(7)
    for truth in (0.5, 0.8, 0.95):
        inside = 0
        for _ in range(300):
            _, low, high = limits((draws.random(12) < truth).astype(float))
            assert low is not None
            assert high is not None
            inside += low <= truth <= high
        assert inside >= 0.93 * 300
