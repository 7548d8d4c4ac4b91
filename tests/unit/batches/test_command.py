"""The job's command line where there is no cluster."""

from pathlib import Path

import pytest

from cluster.console.terminal import run
from pipelines.batches.command import app


def test_without_a_cluster_it_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HELIOSTAT_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as caught:
        run(app, ["run", "batch_1"])
    assert caught.value.code != 0
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
