from typing import Any

import pytest

from cluster.runtime.readiness import Outcome, look, root_cause


def details(status: str, deployments: dict[str, Any] | None = None, message: str = "") -> dict[str, Any]:
    return {"applications": {"app": {"status": status, "message": message, "deployments": deployments or {}}}}


def deployment(status: str, *states: str, message: str = "", wanted: int = 1) -> dict[str, Any]:
    replicas = [
        {"state": state, "pid": 10 + index, "log_file_path": f"/serve/{index}.log"}
        for index, state in enumerate(states)
    ]
    return {"status": status, "message": message, "target_num_replicas": wanted, "replicas": replicas}


def test_an_application_that_serve_does_not_know_yet_is_waited_for() -> None:
    found = look({}, ["app"])
    assert found.outcome is Outcome.WAITING
    assert found.waiting_for() == "building the application"


def test_what_loads_is_named() -> None:
    parts = {"chat": deployment("UPDATING", "STARTING"), "Gateway": deployment("HEALTHY", "RUNNING")}
    found = look(details("DEPLOYING", parts), ["app"])
    assert found.outcome is Outcome.WAITING
    assert found.waiting_for() == "chat: loading"


def test_running_is_ready() -> None:
    found = look(details("RUNNING", {"Gateway": deployment("HEALTHY", "RUNNING")}), ["app"])
    assert found.outcome is Outcome.READY
    assert found.parts[0].ready == found.parts[0].wanted == 1


def test_one_application_that_is_missing_keeps_all_waiting() -> None:
    assert look(details("RUNNING"), ["app", "other"]).outcome is Outcome.WAITING


def test_a_failed_deployment_gives_the_root_cause_and_its_log() -> None:
    message = (
        "The deployment failed to start 3 times in a row. Error:\n"
        "Traceback (most recent call last):\n"
        '  File "x.py", line 1, in load\n'
        "ValueError: no weights in /models/spark\n"
    )
    parts = {"chat": deployment("DEPLOY_FAILED", "STOPPING", message=message)}
    found = look(details("DEPLOY_FAILED", parts), ["app"])
    assert found.outcome is Outcome.FAILED
    assert found.reason == "chat: ValueError: no weights in /models/spark"
    assert found.log == "/serve/0.log"


def test_an_application_that_cannot_be_imported_gives_the_error() -> None:
    message = "Deploying app 'app' failed:\nTraceback:\nModuleNotFoundError: No module named 'nope'\n"
    found = look(details("DEPLOY_FAILED", message=message), ["app"])
    assert found.reason == "application 'app': ModuleNotFoundError: No module named 'nope'"


def test_a_retry_says_what_failed_so_far() -> None:
    parts = {"chat": deployment("UPDATING", message="failed to start 1 times.\nOSError: disk full")}
    found = look(details("DEPLOYING", parts), ["app"])
    assert found.waiting_for() == "chat: loading (failed so far: OSError: disk full)"


def test_an_unhealthy_application_may_still_recover() -> None:
    found = look(details("UNHEALTHY", {"chat": deployment("UNHEALTHY")}), ["app"])
    assert found.outcome is Outcome.WAITING
    assert "failing" in found.waiting_for()


@pytest.mark.parametrize(
    ("message", "cause"),
    [
        ("", ""),
        ("no traceback at all", "no traceback at all"),
        (
            "a.b.InnerError: deep\n\nThe above was the cause\nOuterError: shallow\n",
            "OuterError: shallow",
        ),
        (
            "cluster.errors.StartFailed: models/x: no folder\nSee the logs.",
            "cluster.errors.StartFailed: models/x: no folder",
        ),
    ],
)
def test_the_root_cause_is_the_last_exceptions_line(message: str, cause: str) -> None:
    assert root_cause(message) == cause
