"""A cluster without a model, started in the foreground, and what it leaves on the machine."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from cluster.errors import NotRunning
from cluster.runtime import lifecycle, processes
from cluster.runtime.ports import free_block
from tests.live.conftest import ROOT, START_S, environment, heliostat

SCRIPTED = """
http_options: {{host: 127.0.0.1, port: {port}}}
applications:
  - name: heliostat
    route_prefix: /
    import_path: deployments.app:build
    args:
      models:
        - {{id: parrot, engine: {engine}}}
"""


def scripted(folder: Path, *, engine: str = "{kind: scripted}") -> Path:
    config = folder / "config.yaml"
    config.write_text(SCRIPTED.format(port=free_block(16), engine=engine))
    return config


def start(home: Path, config: Path, *flags: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "deployments", "up", str(config), *flags],
        cwd=ROOT,
        env=environment(home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


@contextmanager
def detached(home: Path, config: Path) -> Iterator[None]:
    """The config's cluster in the background until the end of the block; its home goes with it."""
    port = str(free_block(16))
    done = heliostat(home, "up", str(config), "--detach", "--port", port, "--timeout", str(START_S - 20))
    assert done.returncode == 0, done.stderr
    try:
        yield
    finally:
        with suppress(NotRunning):
            lifecycle.down(home)  # here: the command line takes as long to start as this does
        shutil.rmtree(home, ignore_errors=True)


def called(cluster: str, name: str) -> list[psutil.Process]:
    """The processes of a cluster whose command lines have the name in them; others may end meanwhile."""
    found = []
    for process in processes.marked(cluster):
        with suppress(psutil.Error):
            found += [process] * (name in " ".join(process.cmdline()))
    return found


def marked_ids() -> set[str]:
    """Which clusters have live processes on this machine."""
    found = set()
    for process in psutil.process_iter():
        try:
            marker = process.environ().get(processes.MARKER)
            if marker and process.status() != psutil.STATUS_ZOMBIE:
                found.add(marker)
        except (psutil.Error, OSError):
            continue
    return found
