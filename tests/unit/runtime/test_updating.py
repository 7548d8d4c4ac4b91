"""An update needs a cluster to update, and a config that is one."""

from pathlib import Path

import pytest

from cluster.console.progress import Progress
from cluster.errors import NotRunning, SettingsError
from cluster.runtime.interrupts import Interrupts
from cluster.runtime.updating import update

CONFIG = """
applications:
  - name: h
    import_path: deployments.app:build
    args:
      home: {home}
      models: [{{id: echo, engine: {{kind: {kind}}}}}]
"""


def written(folder: Path, kind: str) -> Path:
    path = folder / "c.yaml"
    path.write_text(CONFIG.format(home=folder, kind=kind))
    return path


def test_without_a_cluster_there_is_nothing_to_update(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        update(written(tmp_path, "scripted"), Progress(), Interrupts())


def test_a_wrong_config_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no-such-engine"):
        update(written(tmp_path, "no-such-engine"), Progress(), Interrupts())
