"""README's blocks are run: the shell commands on the session's cluster, the Python block as it stands."""

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.live.conftest import environment

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python|json)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
ADDRESS = "http://127.0.0.1:8000"


def commands() -> list[str]:
    """Every line of the shell blocks, continued lines joined."""
    found: list[str] = []
    for kind, block in BLOCKS:
        if kind == "bash" and block.startswith("curl"):
            found.append(block.strip())
        elif kind == "bash":
            found += block.strip().splitlines()
    return found


def shown_answers() -> dict[str, str]:
    """The answer that README shows to each `curl`: the JSON block after it."""
    pairs = pairwise(BLOCKS)
    return {
        block.strip(): after for (_, block), (kind, after) in pairs if block.startswith("curl") and kind == "json"
    }


ANSWERS = shown_answers()
RUN_HERE = [command for command in commands() if not command.startswith("make ")]


def test_the_readme_names_the_two_commands_that_a_newcomer_runs() -> None:
    assert commands()[:2] == ["make demo ARGS=--exit", "make test"]
    targets = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{name}:", targets, re.MULTILINE) for name in ("demo", "test", "install", "check"))


@pytest.mark.parametrize("command", RUN_HERE, ids=lambda command: command.split("\n")[0][:60])
def test_each_command_of_the_readme_works(cluster, command: str) -> None:
    here = command.replace(ADDRESS, cluster.url)
    binaries = str(Path(sys.executable).parent)
    env = environment(cluster.home)
    env["PATH"] = f"{binaries}:{env['PATH']}"
    done = subprocess.run(["bash", "-euc", here], cwd=ROOT, env=env, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    if command in ANSWERS:
        answer, shown = json.loads(done.stdout), json.loads(ANSWERS[command])
        # README leaves out what is null, and the id and the time are of that one answer.
        assert shown.keys() <= answer.keys()
        assert shown["choices"][0]["message"].items() <= answer["choices"][0]["message"].items()
        assert shown["usage"].items() <= answer["usage"].items()


def test_the_python_block_streams_an_answer(cluster) -> None:
    code = next(block for kind, block in BLOCKS if kind == "python").replace(ADDRESS, cluster.url)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) > 3
