"""Verdicts on pairs, stored beside a run's rows. How they are made: tests/unit/sweeps/test_pairs.py."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from cluster.stores.run_pairs import RunPairs
from cluster.stores.runs import Run


def verdict(winner: str, second: str = "b") -> dict[str, Any]:
    return {
        "judge": "echo",
        "judge_prompt_hash": "h",
        "judge_repeats": 1,
        "version": "pairs/1",
        "criteria": "{}",
        "prompt_id": "p",
        "prompt_hash": "p",
        "repeat": 1,
        "first_config": "one",
        "second_config": "two",
        "first_cell": "a",
        "second_cell": second,
        "material": "m",
        "identical": False,
        "winner": winner,
        "first_wins": 1,
        "second_wins": 0,
        "ties": 0,
        "swayed": 0,
        "broken": 0,
        "judged": datetime.now(UTC),
    }


def winners(pairs: RunPairs) -> list[str]:
    return [str(winner) for winner in pairs.table().column("winner").to_pylist()]


def test_of_two_verdicts_the_later_counts_though_the_clock_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its part was named before the earlier one's, whose verdict counted for good."""
    pairs = RunPairs(Run(tmp_path, "r"))
    pairs.write([verdict("first")])
    earlier = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr("cluster.stores.run_pairs.time.time_ns", lambda: earlier)
    pairs.write([verdict("second")])
    assert winners(pairs) == ["second"]
    pairs.compact()
    pairs.write([verdict("tie")])
    assert (winners(pairs), len(pairs.files())) == (["tie"], 2)


def test_parts_that_are_made_one_while_they_are_read_are_looked_for_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`sweep show` beside a judge that ended was a FileNotFoundError."""
    pairs = RunPairs(Run(tmp_path, "r"))
    pairs.write([verdict("first")])
    pairs.write([verdict("second", "c")])
    before = pairs.files()
    pairs.compact()
    seen = [before]
    now = RunPairs.files
    monkeypatch.setattr(RunPairs, "files", lambda one: seen.pop() if seen else now(one))
    assert winners(pairs) == ["first", "second"]
