"""What Serve's details say about our applications: ready, waiting for what, or failed and why. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

WORDS = {
    "UPDATING": "loading",
    "UPSCALING": "loading",
    "DOWNSCALING": "shrinking",
    "HEALTHY": "running",
    "UNHEALTHY": "failing",
    "DEPLOY_FAILED": "failed",
}


class Outcome(StrEnum):
    """Where a deploy stands."""

    READY = "ready"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One deployment. state: one of the words above. ready, wanted: replicas. pids: of its replicas."""

    application: str
    name: str
    state: str
    ready: int
    wanted: int
    problem: str = ""
    log: str | None = None
    pids: tuple[int, ...] = ()

    @property
    def running(self) -> bool:
        """Whether it has all the replicas it wants."""
        return self.state == "running"


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """A look at the applications. reason: why it failed, one line. log: file, relative to Ray's log folder."""

    outcome: Outcome
    parts: tuple[Part, ...]
    reason: str = ""
    log: str | None = None

    def waiting_for(self) -> str:
        """What the caller waits for, in words."""
        loading = [part for part in self.parts if not part.running]
        if not loading:
            return "building the application" if not self.parts else "the HTTP route"
        return ", ".join(f"{part.name}: {part.state}" + _again(part) for part in loading)


def look(details: Mapping[str, Any], applications: Sequence[str]) -> Readiness:
    """Judge Serve's instance details for the named applications."""
    known = details.get("applications") or {}
    parts: list[Part] = []
    waiting = False
    failure: tuple[str, str | None] | None = None
    for name in applications:
        application = known.get(name)
        if application is None:
            waiting = True
            continue
        own = [_part(name, deployment, item) for deployment, item in (application.get("deployments") or {}).items()]
        parts += own
        status = application.get("status")
        if status == "DEPLOY_FAILED":
            failure = failure or _failure(name, application, own)
        elif status != "RUNNING":
            waiting = True
    if failure is not None:
        return Readiness(outcome=Outcome.FAILED, parts=tuple(parts), reason=failure[0], log=failure[1])
    outcome = Outcome.WAITING if waiting else Outcome.READY
    return Readiness(outcome=outcome, parts=tuple(parts))


def root_cause(message: str) -> str:
    """The line of a traceback that says what went wrong: the last exception's own."""
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    errors = [line for line in lines if _names_exception(line)]
    return (errors or lines or [""])[-1]


def _names_exception(line: str) -> bool:
    head, separator, rest = line.partition(": ")
    return bool(separator and rest) and head.replace(".", "").replace("_", "").isalnum() and head[-1:].isalpha()


def _again(part: Part) -> str:
    return f" (failed so far: {part.problem})" if part.problem else ""


def _part(application: str, name: str, item: Mapping[str, Any]) -> Part:
    replicas = item.get("replicas") or []
    ready = sum(1 for replica in replicas if replica.get("state") == "RUNNING")
    message = item.get("message") or ""
    logs = [replica["log_file_path"] for replica in replicas if replica.get("log_file_path")]
    return Part(
        application=application,
        name=name,
        state=WORDS.get(item.get("status", ""), str(item.get("status", "")).lower()),
        ready=ready,
        wanted=int(item.get("target_num_replicas") or 0),
        problem=root_cause(message) if "fail" in message.lower() else "",
        log=logs[-1] if logs else None,
        pids=tuple(replica["pid"] for replica in replicas if replica.get("pid")),
    )


def _failure(name: str, application: Mapping[str, Any], parts: Sequence[Part]) -> tuple[str, str | None]:
    for part in parts:
        if part.state in {"failed", "failing"}:
            return f"{part.name}: {part.problem or part.state}", part.log
    cause = root_cause(application.get("message") or "") or str(application.get("status"))
    return f"application {name!r}: {cause}", None
