"""`heliostat sweep watch`: a run as it goes, whoever drives it."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster.console.terminal import run
from cluster.stores.run_state import PAUSED, RUNNING
from cluster.stores.runs import Manifest, Run
from pipelines.sweeps.command import app
from pipelines.sweeps.lookout import Lookout, View, follow
from pipelines.sweeps.watch_command import line_of, table_of
from tests.unit.exports.sweep_rows import row
from tests.unit.sweeps.driving import House
from tests.unit.sweeps.test_spec import BATCH

MODELS = {"m": {"revision": "r"}, "other": {"revision": "r"}}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HELIOSTAT_HOME", str(tmp_path))
    return tmp_path


@contextmanager
def driven(home: Path, total: int = 12) -> Iterator[tuple[Run, str]]:
    """A run that somebody drives."""
    made = Run(home, "0123456789ab")
    with made.held() as session:
        made.begin("{}", Manifest(run_id=made.id, name="hot", total=total, models=MODELS, created=0.0))
        made.state.note(RUNNING)
        yield made, session


def cells(*ordinals: int, ago_s: float = 0.0, **changes: Any) -> list[dict[str, Any]]:
    """Rows that end so long before now. Even ordinals are of model `m`; hotter configurations are better."""
    started = datetime.now(UTC) - timedelta(seconds=ago_s)
    made = []
    for ordinal in ordinals:
        hot = ordinal % 4 > 1
        own = {
            "model": "other" if ordinal % 2 else "m",
            "config_id": f"c{ordinal % 4}",
            "temperature": 1.0 if hot else 0.2,
            "prompt_id": f"p{ordinal // 4}",
            "prompt_hash": f"h{ordinal // 4}",
            "completeness": 60.0 + 20 * hot + ordinal % 3,
            "latency_ms": 0.0,
            "started": started,
        }
        made.append(row(ordinal, **{**own, **changes}))
    return made


def failures(*ordinals: int) -> list[dict[str, Any]]:
    return cells(*ordinals, text=None, completeness=None, error_code="timeout", latency_ms=None)


def sweep(*words: str) -> int:
    with pytest.raises(SystemExit) as caught:
        run(app, list(words))
    code = caught.value.code
    return code if isinstance(code, int) else 0


def now() -> float:
    return datetime.now(UTC).timestamp()


def test_a_look_tells_how_far_how_fast_and_how_long(home: Path) -> None:
    with driven(home) as (made, session):
        begun = made.begun
        assert begun is not None
        made.write(cells(0, 2, 4, 1), session=session, block=0)
        view = Lookout(made).look(begun + 30)
    assert (view.status, view.done, view.failed, view.total, view.ended) == ("running", 4, 0, 12, False)
    assert view.cells_per_minute == pytest.approx(8, rel=0.01)
    m, other = view.models
    assert (m.done, m.total, other.done) == (3, 6, 1)
    # The model with the longest way to go decides: 5 cells at 2 a minute.
    assert view.remaining_s == pytest.approx(150, rel=0.01)


def test_cells_of_an_earlier_session_make_no_pace(home: Path) -> None:
    with driven(home) as (made, session):
        made.write(cells(0, 1, ago_s=3600), session=session, block=0)
        view = Lookout(made).look(now() + 1)
    assert (view.done, view.cells_per_minute, view.remaining_s) == (2, None, None)


def test_failed_cells_are_counted_by_code(home: Path) -> None:
    with driven(home) as (made, session):
        made.write([*cells(0, 1), *failures(2, 3)], session=session, block=0)
        view = Lookout(made).look(now() + 1)
    assert (view.failed, view.errors) == (2, {"timeout": 2})
    assert "2 errors (2 timeout)" in line_of(view)


def test_the_best_so_far_comes_with_its_interval_and_how_sure_it_is(home: Path) -> None:
    with driven(home) as (made, session):
        lookout = Lookout(made)
        assert lookout.look(now()).best is None
        made.write(cells(*range(12)), session=session, block=0)
        best = lookout.look(now() + 1).best
    assert best is not None
    assert (best.metric, best.prompts, best.label.endswith("temperature=1.0, top_p=1.0, max_tokens=48")) == (
        "completeness", 3, True,
    )  # fmt: skip
    assert best.low is not None
    assert best.mean is not None
    assert best.low < best.mean
    assert best.p_best is not None
    assert not best.shown
    assert best.reason is not None


def test_rows_are_read_again_only_where_parts_changed(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with driven(home) as (made, session):
        made.write(cells(0), session=session, block=0)
        lookout = Lookout(made)
        lookout.look(now())
        with monkeypatch.context() as patch:
            patch.setattr(Run, "table", None)
            assert lookout.look(now()).done == 1
        made.write(cells(1), session=session, block=0)
        assert lookout.look(now()).done == 2


def test_it_is_followed_until_its_driver_lets_go(home: Path) -> None:
    views: list[View] = []
    with driven(home) as (made, session):
        following = follow(made, sleep=lambda _: None)
        views.append(next(following))
        made.write(cells(0, 1), session=session, block=0)
        views.append(next(following))
        made.state.note(PAUSED)
        views.append(next(following))  # it holds the run still: its last rows may be on their way
    views.extend(following)
    assert [(view.status, view.done, view.ended) for view in views] == [
        ("running", 0, False),
        ("running", 2, False),
        ("running", 2, False),
        ("paused", 2, True),
    ]


def test_a_driver_that_died_ends_the_watch(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with driven(home) as (made, _):
        pass
    assert sweep("watch", made.id) == 3
    assert "interrupted; to go on: heliostat sweep resume 0123456789ab" in capsys.readouterr().out


def test_an_ended_run_is_one_line(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = House(home).run({**BATCH, "parameter_ranges": {"temperature": [0.1, 0.9]}}).run
    assert sweep("watch", made.id[:6]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("6/6 cells, 0 errors; best overall ")
    assert lines[0].endswith("; completed")


def test_json_is_a_numbered_line_for_each_change(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = House(home).run({**BATCH, "parameter_ranges": {}}).run
    assert sweep("watch", made.id, "--json") == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(one["number"], one["status"], one["done"], one["ended"]) for one in told] == [
        (1, "completed", 3, True)
    ]


def test_a_run_with_failed_cells_ends_with_exit_code_1(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with driven(home, total=2) as (made, session):
        made.write(failures(0, 1), session=session, block=0)
        made.state.note("completed")
    assert sweep("watch", made.id) == 1
    assert "2/2 cells, 2 errors (2 timeout); completed" in capsys.readouterr().out


def test_an_unknown_run_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep("watch", "feedfeed") == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_table_has_a_row_a_model_and_the_best(home: Path) -> None:
    with driven(home) as (made, session):
        made.write(cells(*range(8)), session=session, block=0)
        view = Lookout(made).look(now() + 1)
    drawn = io.StringIO()
    Console(width=120, file=drawn).print(table_of(view))
    text = drawn.getvalue()
    assert "hot [0123456789ab]: running" in text
    assert "4/6" in text
    assert "best so far: completeness" in text
