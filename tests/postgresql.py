"""A PostgreSQL server of the tests' own: on a free port of loopback, in a folder that goes when it ends."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.runtime.ports import free_block

DEBIAN = Path("/usr/lib/postgresql")  # its versions lie here, and their programs are not on the PATH
NOBODY = "postgres"  # whom it runs as where we are root: it refuses to run as root
USER = "heliostat"
QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "shared_buffers=16MB")  # it need not last
START_S = 60


class Server:
    """One server. Stopped and started again, it has what was written."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._data = folder / "data"
        self.port = free_block(1)
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        self._run("initdb", "-D", str(self._data), "-U", USER, "-A", "trust", "-E", "UTF8", "--no-locale", "-N")

    def start(self) -> None:
        """Returns when it answers."""
        options = [part for option in QUICK for part in ("-c", option)]
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-h", "127.0.0.1", "-k", ""]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "-p", str(self.port), *options], stdout=log, stderr=log, **self._as_nobody()
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self._folder / "log").read_text())
            time.sleep(0.05)

    def stop(self, *, for_good: bool = False) -> None:
        """Break its connections and end it. for_good: without writing down what nobody will read."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT if for_good else signal.SIGINT)
        self._process.wait(timeout=60)

    def new_database(self) -> str:
        """The URL of an empty one."""
        import pg8000.native

        self._databases += 1
        name = f"test_{self._databases}"
        connection = pg8000.native.Connection(
            USER, host="127.0.0.1", port=self.port, database="postgres", timeout=60
        )
        connection.run(f"CREATE DATABASE {name}")
        connection.close()
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{name}"

    def _answers(self) -> bool:
        command = [str(self._programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command).returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._programs / program), *arguments], capture_output=True, text=True, **self._as_nobody()
        )
        if done.returncode != 0:
            raise RuntimeError(f"{program}: {done.stdout}{done.stderr}")

    def _as_nobody(self) -> dict[str, Any]:
        """Where and as whom its programs run."""
        place: dict[str, Any] = {"cwd": self._folder}
        if os.geteuid() == 0:
            entry = pwd.getpwnam(NOBODY)
            place |= {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
        return place


@contextmanager
def running_server() -> Iterator[Server]:
    """A server until the end of the block; skips the test where PostgreSQL is not installed."""
    pytest.importorskip("pg8000", reason="the extra `postgresql` is not installed")
    programs = _programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: `make test-packages`")
    folder = Path(tempfile.mkdtemp(prefix="heliostat-postgresql-"))
    if os.geteuid() == 0:
        shutil.chown(folder, NOBODY)
    try:
        server = Server(programs, folder)
        server.start()
        try:
            yield server
        finally:
            server.stop(for_good=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _programs() -> Path | None:
    """Where `postgres` and `initdb` are: on the PATH, or Debian's newest version."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    versions = sorted(DEBIAN.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return versions[-1].parent if versions else None
