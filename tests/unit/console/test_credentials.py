"""Every command that asks a server sends HELIOSTAT_API_KEY."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
COMMANDS = ("deployments/*.py", "cluster/console/*.py", "pipelines/**/*.py")
ASKING = {"get", "post", "put", "delete", "request", "stream", "Client", "AsyncClient"}
OPEN = {"/health"}  # asked without credentials by whoever likes


def asked(file: Path) -> Iterator[ast.Call]:
    """The calls of a file that ask a server, or make a client that does."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {f"httpx.{name}" for name in ASKING}:
            yield node


FILES = [file for pattern in COMMANDS for file in sorted(ROOT.glob(pattern)) if any(asked(file))]


def test_the_commands_are_found() -> None:
    names = {file.stem for file in FILES}
    assert {"ask", "demo", "events", "loaded", "models_recorded", "models_running", "served", "status"} <= names


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_command_sends_its_credentials(file: Path) -> None:
    for call in asked(file):
        sent = [ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg == "headers"]
        if not any(path in ast.unparse(call) for path in OPEN):
            assert sent == ["credentials()"], f"{file.name}:{call.lineno}: {ast.unparse(call)}"
