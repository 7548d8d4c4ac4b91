"""A served model as judge of a sweep's answers, on real vLLM: grades, pairs in both orders, and what is shown."""

import json
from pathlib import Path

from cluster.stores.run_pairs import RunPairs
from tests.live.conftest import RunningCluster
from tests.live.test_sweeps import spec_file, sweep


def test_a_judge_grades_and_compares_what_a_sweep_stored(cluster: RunningCluster, tmp_path: Path) -> None:
    spec = spec_file(
        tmp_path,
        repeats=1,
        scorers=["completeness", "judge"],
        judge={"model": "spark-chat", "criteria": {"right": "the facts are right"}, "repeats": 2},
    )
    done = cluster.run("sweep", "run", str(spec), "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no scores" not in done.stdout
    run = sweep(cluster, spec)
    rows = run.table(["text", "error_code", "features"]).to_pylist()
    answered = [json.loads(row["features"]) for row in rows if row["error_code"] is None and row["text"]]
    assert len(answered) >= 2, rows
    for told in answered:
        # Whether so small a model can judge is its own affair: every verdict is counted, as read or as broken.
        assert (told.get("judge"), told["judge_verdicts"] + told["judge_broken"]) == ("spark-chat", 2), rows
    compared = cluster.run("sweep", "rescore", run.id, "--pairs", "--judge-repeats", "1", "--yes")
    assert compared.returncode == 0, compared.stderr
    assert "2 pairs of answers, of 2 configurations to 2 prompts: at most 4 questions" in compared.stdout
    pairs = RunPairs(run).table().to_pylist()
    assert len(pairs) == 2
    for row in pairs:
        assert row["first_wins"] + row["second_wins"] + row["ties"] + row["broken"] == 1
        assert (row["judge"], len(row["judge_revision"]) > 0) == ("spark-chat", True)
    shown = cluster.run("sweep", "show", run.id)
    assert "judge spark-chat (pairs/1" in shown.stdout
    assert "judged answers of its own" in shown.stdout
