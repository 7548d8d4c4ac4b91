import subprocess
import sys

import pytest
import typer

from cluster.console.terminal import run
from cluster.errors import NotRunning, SettingsError


def app_raising(error: Exception) -> typer.Typer:
    app = typer.Typer()

    @app.command()
    def fail() -> None:
        raise error

    return app


def test_a_settings_error_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(app_raising(SettingsError("demo.yaml: modles: unknown\nkey", hint="models")), [])
    assert caught.value.code == 2
    assert capsys.readouterr().err == "error: demo.yaml: modles: unknown key — models [invalid_settings]\n"


def test_a_cluster_error_exits_1(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(app_raising(NotRunning("no cluster")), [])
    assert caught.value.code == 1
    assert capsys.readouterr().err == "error: no cluster [not_running]\n"


def test_debug_lets_the_traceback_through() -> None:
    with pytest.raises(NotRunning):
        run(app_raising(NotRunning("no cluster")), ["--debug"])


def test_an_unknown_option_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(app_raising(NotRunning("unused")), ["--nonsense"])
    assert caught.value.code == 2


def test_help_loads_neither_ray_nor_torch_and_names_every_command() -> None:
    script = (
        "import sys, deployments.__main__ as face\n"
        "try: face.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'ray', 'torch', 'vllm', 'chromadb', 'pandas', 'pyarrow'} & set(sys.modules)\n"
        "sys.exit(f'loaded {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    names = ("up", "down", "status", "doctor", "demo", "ask", "ingest", "sweep", "train")
    assert all(f" {name} " in done.stdout for name in names)


def test_status_without_a_cluster_does_not_load_ray(tmp_path: object) -> None:
    script = (
        "import sys, deployments.__main__ as face\n"
        "try: face.main(['status'])\n"
        "except SystemExit as end: code = end.code\n"
        "sys.exit('loaded ray' if 'ray' in sys.modules else code)"
    )
    environment = {"HELIOSTAT_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.returncode == 3, done.stderr
    assert done.stderr.startswith("error: no cluster is running")


def test_a_file_that_cannot_be_used_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(app_raising(NotADirectoryError(20, "Not a directory", "/tmp/home/run")), [])
    assert caught.value.code == 1
    assert capsys.readouterr().err.startswith("error: /tmp/home/run: Not a directory — HELIOSTAT_HOME ")
