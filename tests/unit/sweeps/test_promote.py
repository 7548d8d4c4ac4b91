"""`heliostat sweep promote`: a winner becomes what its model generates with by default."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from cluster.console.terminal import run
from cluster.errors import BadRequest, Conflict
from cluster.stores.database import open_database
from cluster.stores.promotions import Promotion, Promotions
from cluster.stores.runs import Manifest, Run
from deployments.models_promoted import line, promoted_for
from pipelines.sweeps.command import app
from pipelines.sweeps.promotion import Chosen, choose
from tests.unit.exports.sweep_rows import row, table

ID = "abcdefabcdef"
MOMENT = datetime(2026, 11, 22, tzinfo=UTC)
CONFIGURATIONS: list[dict[str, Any]] = [
    {"config_id": "c1", "temperature": 0.2},
    {"config_id": "c2", "temperature": 1.0},
]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HELIOSTAT_HOME", str(tmp_path))
    return tmp_path


def rows(*configurations: dict[str, Any], means: tuple[float, ...] = (80.0, 50.0), prompts: int = 8) -> pa.Table:
    """Each configuration's cells, a little apart from prompt to prompt."""
    made = [
        row(
            prompt * len(configurations) + place,
            **{
                "prompt_id": f"p{prompt}",
                "prompt_hash": f"h{prompt}",
                "cell_id": f"cell-{prompt}-{place}",
                "completeness": means[place] + (7 * prompt + 3 * place) % 5,
                **own,
            },
        )
        for prompt in range(prompts)
        for place, own in enumerate(configurations)
    ]
    return table(made)


def chosen(cells: pa.Table, **changes: Any) -> Chosen:
    return choose(cells, run_id=ID, run_name="hot", moment=MOMENT, **changes)


def stored(home: Path, cells: pa.Table) -> Run:
    kept = Run(home, ID)
    with kept.held() as session:
        kept.begin("{}", Manifest(run_id=ID, name="hot", total=cells.num_rows, models={}, created=1.0))
        kept.write(cells.to_pylist(), session=session, block=0)
        kept.state.note("completed")
    return kept


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as caught:
        run(app, ["promote", *words])
    shown = capsys.readouterr()
    assert (caught.value.code or 0) == code, shown
    return shown.out + shown.err


def kept(home: Path) -> dict[str, Promotion]:
    return Promotions(open_database(f"sqlite:///{home / 'heliostat.db'}")).all()


def test_the_winner_is_promoted_with_where_it_comes_from() -> None:
    found = chosen(rows(*CONFIGURATIONS))
    assert found.promotion == Promotion(
        model="spark-chat",
        parameters={"temperature": 0.2, "top_p": 1.0},
        run_id=ID,
        run_name="hot",
        config_id="c1",
        metric="completeness",
        p_best=found.promotion.p_best,
        winner=True,
        promoted_at=MOMENT,
    )
    assert found.promotion.p_best is not None
    assert found.promotion.p_best > 0.9
    assert found.left_out == {"max_tokens": 48}
    assert found.figure is not None


def test_without_a_detectable_winner_nothing_is_promoted_and_the_reason_is_told() -> None:
    cells = rows(*CONFIGURATIONS, means=(60.0, 60.0))
    with pytest.raises(Conflict, match="no detectable winner: one configuration is not distinguishable") as caught:
        chosen(cells)
    assert caught.value.hint is not None
    assert "--configuration c" in caught.value.hint
    named = chosen(cells, configuration="c2")
    assert (named.promotion.parameters["temperature"], named.promotion.winner) == (1.0, False)


def test_a_model_is_compared_with_itself_where_it_is_named() -> None:
    both = [
        {**one, "model": model, "config_id": f"{model}-{one['config_id']}"}
        for model in ("a", "b")
        for one in CONFIGURATIONS
    ]
    cells = rows(*both, means=(80.0, 50.0, 90.0, 20.0))
    assert chosen(cells).promotion.model == "b"
    assert chosen(cells, model="a").promotion.config_id == "a-c1"
    with pytest.raises(BadRequest, match="no cells of 'x'"):
        chosen(cells, model="x")


@pytest.mark.parametrize(
    ("own", "reason"),
    [
        ({"retrieval": '{"collection": "c"}'}, "answered from passages"),
        ({"parameters": '{"stop": ["."]}'}, "stop is each request's own"),
        ({"temperature": None, "top_p": None}, "says nothing that a default holds"),
        ({"error_code": "timeout"}, "All cells of"),
    ],
)
def test_what_no_default_can_say_is_refused(own: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        chosen(rows({**CONFIGURATIONS[0], **own}, CONFIGURATIONS[1]), configuration="c1")


@pytest.mark.parametrize(("named", "reason"), [("x", "begins with 'x'"), ("", "begins with ''"), ("c", "several")])
def test_a_configuration_that_is_not_meant_for_sure_is_refused(named: str, reason: str) -> None:
    with pytest.raises(BadRequest, match=reason):
        chosen(rows(*CONFIGURATIONS), configuration=named)


def test_an_unscored_run_has_nothing_to_promote_unless_named() -> None:
    cells = rows(*({**one, "completeness": None} for one in CONFIGURATIONS))
    with pytest.raises(Conflict, match="has been scored"):
        chosen(cells)
    named = chosen(cells, configuration="c1")
    assert (named.promotion.metric, named.promotion.p_best, named.figure) == (None, None, None)


def test_a_dry_run_says_what_would_change(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(home, rows(*CONFIGURATIONS))
    printed = said(capsys, "abc", "--dry-run")
    assert "spark-chat: temperature=0.2, top_p=1.0" in printed
    assert "hot [abcdefabcdef], configuration c1" in printed
    assert "left out: max_tokens=48" in printed
    assert kept(home) == {}


def test_promoted_shown_and_taken_back(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert promoted_for("spark-chat") is None
    assert not (home / "heliostat.db").exists()
    stored(home, rows(*CONFIGURATIONS))
    assert "--undo spark-chat" in said(capsys, "abc", "--yes")
    assert kept(home)["spark-chat"].config_id == "c1"
    told = promoted_for("another", "spark-chat")
    assert told is not None
    assert line(told) == "temperature=0.2 top_p=1.0  (the sweep hot [abcdefabcdef])"
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert "nobody is there to ask" in said(capsys, "abc", "--configuration", "c2", code=2)
    assert "in place of: temperature=0.2" in said(capsys, "abc", "--configuration", "c2", "--yes")
    said(capsys, "--undo", "spark-chat", "--dry-run")
    assert "generates again" in said(capsys, "--undo", "spark-chat", "--yes")
    assert kept(home) == {}
    assert "Nothing was promoted for 'spark-chat'" in said(capsys, "--undo", "spark-chat", "--yes", code=1)


def test_a_running_sweep_promotes_nothing(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = stored(home, rows(*CONFIGURATIONS))
    with made.held():
        assert "still runs" in said(capsys, "abc", "--yes", code=1)


@pytest.mark.parametrize("words", [(), ("abc", "--undo", "m")])
def test_a_sweep_or_a_model_is_named(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert "name a sweep" in said(capsys, *words, code=2)
