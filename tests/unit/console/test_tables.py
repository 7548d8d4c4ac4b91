"""Findings and the status where nobody looks: nothing is cut."""

import pytest

from cluster.console.status import ClusterStatus
from cluster.console.tables import show_findings, show_status
from cluster.doctor.checks import Finding, Level
from cluster.runtime.readiness import Part

HINT = "give it more room, for example by " + "closing other programs, " * 5


def test_a_finding_is_a_line_that_says_all_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    show_findings([Finding(name="memory", level=Level.WARN, what="2.0 GiB are free", hint=HINT)])
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "memory" in line]
    assert HINT.strip() in line
    assert "warn" in line


def test_the_status_says_what_is_wrong_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    name = "a-model-of-a-long-name-" * 4
    status = ClusterStatus(
        status="degraded", url="http://127.0.0.1:8000", dashboard="http://127.0.0.1:8265", address="127.0.0.1:6379",
        kind="started", home="h", config="c.yaml", started=1.0, uptime_s=3725.0, models=(name,), applications=(),
        deployments=(Part(application="app", name=name, state="UPDATING", ready=0, wanted=1),),
        processes=7, memory_bytes=3 * 2**30, problem=f"{name} is UPDATING",
    )  # fmt: skip
    show_status(status)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "degraded for 1 h 2 min at http://127.0.0.1:8000",
        f"problem: {name} is UPDATING",
        f"models: {name}",
    ]
    assert any(name in line and "0/1" in line for line in lines[3:])
