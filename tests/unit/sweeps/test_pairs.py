"""Pairs of answers before a judge: stored, gone on with, and shown."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from cluster.errors import BadRequest, ClusterError, Conflict, Unavailable
from cluster.settings.pipelines import SweepSettings
from cluster.stores.run_pairs import RunPairs
from cluster.stores.runs import Run
from pipelines.analysis.preferences import preferences
from pipelines.analysis.report.html import page
from pipelines.analysis.report.results import COLUMNS, results_of
from pipelines.sweeps import judging, rescore_command
from pipelines.sweeps import pairs as pairing
from pipelines.sweeps.pairs import config_named, judge_pairs, work_of
from pipelines.sweeps.scoring.judge import Judge
from pipelines.sweeps.session import Target
from tests.unit.sweeps.driving import House
from tests.unit.sweeps.test_command import sweep
from tests.unit.sweeps.test_spec import SPEC

JUDGE = Judge(id="j", criteria={"quality": "it is good"}, repeats=1)
SWEPT = {
    **SPEC,
    "models": ["m"],
    "prompts": ["one two three four five six", "seven eight nine ten eleven twelve"],
    "parameters": {"temperature": [0.5, 1.0, 1.5], "max_tokens": 16},
    "repeats": 2,
    "greedy_anchor": True,
}
Ask = Callable[[Sequence[str]], list[str | None]]


def says(rule: Callable[[str, str], str]) -> Ask:
    """A judge that names a winner of the first and the second answer it is shown."""

    def reply(question: str) -> str:
        mark = question.split("<")[1].split(" ")[0]
        first, second = (
            question.split(f"<{mark} {name}>\n")[1].split(f"\n</{mark} {name}>")[0] for name in ("first", "second")
        )
        return json.dumps({"winner": rule(first, second)})

    return lambda questions: [reply(question) for question in questions]


def by_text(first: str, second: str) -> str:
    return "first" if first < second else "second"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run, made once; each test has a copy."""
    return House(tmp_path_factory.mktemp("swept")).run(SWEPT).run


@pytest.fixture
def run(stored: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("HELIOSTAT_HOME", str(tmp_path))
    shutil.copytree(stored.folder, tmp_path / "sweeps" / stored.id)
    return Run(tmp_path, stored.id)


def judged(run: Run, ask: Ask, judge: Judge = JUDGE, **options: Any) -> pairing.Judged:
    with run.held():
        return judge_pairs(run, judge, ask, **options)


def test_every_two_configurations_are_paired_by_prompt_and_repeat_without_anchors(run: Run) -> None:
    assert (work_of(run, JUDGE).pairs, work_of(run, JUDGE).questions) == (12, 24)
    assert judged(run, says(by_text)).asked == 12
    rows = RunPairs(run).table().to_pylist()
    cells = {row["cell_id"]: row for row in run.table().to_pylist()}
    for row in rows:
        first, second = cells[row["first_cell"]], cells[row["second_cell"]]
        assert first["prompt_hash"] == second["prompt_hash"] == row["prompt_hash"]
        assert first["repeat"] == second["repeat"] == row["repeat"]
        assert not first["greedy"]
        assert first["temperature"] < second["temperature"]
        same = first["text"] == second["text"]
        better = "tie" if same else "first" if first["text"] < second["text"] else "second"
        assert (row["winner"], row["identical"], row["swayed"], row["broken"]) == (better, same, 0, 0)
    assert {(row["judge"], row["judge_prompt_hash"], row["version"]) for row in rows} == {
        ("j", JUDGE.prompt_hash, "pairs/1")
    }


def test_against_a_baseline_only_its_pairs_are_judged(run: Run) -> None:
    base = run.table(["config_id", "greedy", "ordinal"]).to_pylist()[-1]["config_id"]
    assert config_named(run, base[:6]) == base
    assert work_of(run, JUDGE, base).pairs == 8
    assert judged(run, says(by_text), baseline=base).asked == 8
    assert {row["second_config"] for row in RunPairs(run).table().to_pylist()} == {base}
    for name, said in (("nobody", "No configuration"), ("", "No configuration")):
        with pytest.raises(BadRequest, match=said):
            config_named(run, name)


def test_a_judge_that_likes_a_place_is_swayed_and_nobody_wins(run: Run) -> None:
    judged(run, says(lambda first, second: "first"))
    found = preferences(RunPairs(run).table())
    assert found.swayed is not None
    assert found.swayed > 0.5
    assert all(one.win_rate == 50 and one.wins == one.losses == 0 for one in found.pairs)
    assert all(one.ties == one.verdicts for one in found.pairs)


def test_what_was_judged_is_kept_and_a_text_that_changed_is_judged_again(run: Run) -> None:
    judged(run, says(by_text))
    again = judged(run, says(lambda first, second: "tie"))
    assert (again.asked, again.kept, again.pairs) == (0, 12, 12)
    assert len(RunPairs(run).files()) == 1
    other = Judge(id="j", criteria={"other": "short"}, repeats=1)
    assert judged(run, says(by_text), other).asked == 12
    assert [len(one) for one in RunPairs(run).judges()] == [12, 12]
    assert judged(run, says(by_text), revision="r2").asked == 12  # other weights are another judge


def test_a_judge_that_goes_away_leaves_its_verdicts_and_is_gone_on_with(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairing, "AT_ONCE", 5)
    calls = 0

    def ask(questions: Sequence[str]) -> list[str | None]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Unavailable("the judge is away")
        return says(by_text)(questions)

    with pytest.raises(Unavailable):
        judged(run, ask)
    assert RunPairs(run).table().num_rows == 5
    told: list[int] = []
    again = judged(run, says(by_text), watch=told.append)
    assert (again.asked, again.kept) == (7, 5)
    assert told[-1] == 12


def test_a_damaged_part_is_named_and_its_pairs_are_judged_again(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    judged(run, says(by_text))
    [part] = RunPairs(run).files()
    part.write_bytes(part.read_bytes()[:200])
    with pytest.raises(ClusterError, match=f"pairs/{part.name} is damaged"):
        RunPairs(run).table()
    assert sweep("show", run.id) == 1
    assert f"pairs/{part.name} is damaged" in capsys.readouterr().err
    done = judged(run, says(by_text))
    assert (done.asked, list(done.set_aside)) == (12, [part.name])


def test_broken_verdicts_count_for_nothing(run: Run) -> None:
    judged(run, lambda questions: ["who knows"] * len(questions))
    rows = RunPairs(run).table().to_pylist()
    assert all(row["winner"] is None and row["broken"] == 1 for row in rows if not row["identical"])
    found = preferences(RunPairs(run).table())
    asked = sum(not row["identical"] for row in rows)
    assert found.broken == pytest.approx(asked / len(rows))


def test_one_configuration_has_no_pairs(tmp_path: Path) -> None:
    alone = House(tmp_path).run({**SWEPT, "parameters": {"temperature": 0.5}}).run
    with pytest.raises(BadRequest, match="no two configurations"):
        work_of(alone, JUDGE)


def test_show_and_report_tell_what_the_judge_prefers(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    judged(run, says(by_text))
    assert sweep("show", run.id) == 0
    printed = capsys.readouterr().out
    assert "judge j (pairs/1" in printed
    assert "win rate against the others" in printed
    assert sweep("show", run.id, "--json") == 0
    told = json.loads(capsys.readouterr().out)["preferences"]
    assert (told[0]["judge"], len(told[0]["pairs"]), len(told[0]["standings"])) == ("j", 3, 3)
    assert sweep("report", run.id) == 0
    assert "judge j (pairs/1" in capsys.readouterr().out
    # Without scores there are no charts, which are what takes time.
    rows = run.table(COLUMNS).drop_columns(["scores", "completeness"])
    shown = page(results_of(rows, name="x", verdicts=RunPairs(run).judges()))
    assert "What judges prefer" in shown
    assert shown.count("<td>temperature ") == 6


@pytest.fixture
def cluster(run: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """A cluster that serves the judge `m`, and allows so many questions."""

    def serve(ask: Ask, max_cells: int = 100) -> None:
        target = Target(
            home=run.folder.parents[1],
            application="none",
            served=["m"],
            settings=SweepSettings(max_cells=max_cells),
        )
        monkeypatch.setattr(rescore_command, "_target", lambda *_: target)
        monkeypatch.setattr(rescore_command, "connect", lambda _: None)
        monkeypatch.setattr(judging, "asking", lambda *_: ask)
        monkeypatch.setattr(judging, "revision_of", lambda *_: "r7")

    return serve


def test_the_command_says_what_it_asks_has_it_judged_and_goes_on(
    run: Run, cluster: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster(says(by_text))
    words = ["rescore", run.id[:6], "--pairs", "--judge", "m", "--criterion", "kind=it is kind", "--yes"]
    assert sweep(*words) == 0
    told = capsys.readouterr()
    assert "12 pairs of answers, of 3 configurations to 2 prompts: at most 24 questions to m" in told.out
    assert "12 pairs of" in told.out
    assert "12/12 pairs" in told.err
    [row, *_] = RunPairs(run).table().to_pylist()
    assert (row["judge_revision"], row["criteria"]) == ("r7", '{"kind": "it is kind"}')
    assert sweep(*words) == 0
    assert f"0 pairs of {run.id} were judged, 12 had their verdicts" in capsys.readouterr().out
    assert sweep("show", run.id) == 0
    assert "m judged answers of its own" in capsys.readouterr().out


def test_too_many_questions_and_a_judge_that_is_not_served_are_refused(
    run: Run, cluster: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster(says(by_text), max_cells=23)
    assert sweep("rescore", run.id, "--pairs", "--judge", "m", "--yes") == 2
    assert capsys.readouterr().err.endswith("[plan_too_large]\n")
    assert sweep("rescore", run.id, "--pairs", "--judge", "nobody", "--yes") == 1
    assert capsys.readouterr().err.endswith("[model_not_found]\n")
    assert RunPairs(run).files() == []


@pytest.mark.parametrize(
    ("words", "said", "code"),
    [
        (["--pairs"], "no judge: the spec names none", 2),
        (["--pairs", "--judge", "m", "--no-embedder"], "leave --no-embedder out", 2),
        (["--baseline", "x"], "--baseline goes with --pairs", 2),
        (["--pairs", "--judge", "m", "--baseline", "zz"], "No configuration's id", 2),
        (["--judge", "m", "--criterion", "good"], "is not NAME=TEXT", 2),
        (["--judge", "m", "--criterion", "Big Name=x"], "judge.criteria", 2),
        (["--judge", "m", "--judge-repeats", "0"], "judge.repeats", 2),
        (["--criterion", "a=b"], "no judge: the spec names none", 2),
        (["--judge", "m", "--no-embedder"], "a judge is asked on the cluster", 2),
        (["--judge", "m", "--pairs", "--yes"], "heliostat up", 1),
    ],
)
def test_what_cannot_be_judged_is_one_line(
    run: Run, capsys: pytest.CaptureFixture[str], words: list[str], said: str, code: int
) -> None:
    assert sweep("rescore", run.id, *words) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]


def test_while_a_driver_holds_the_run_nobody_judges(run: Run) -> None:
    with run.held(), pytest.raises(Conflict):
        judged(run, says(by_text))
