"""Status and findings as tables on a terminal."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from cluster.console.output import output

if TYPE_CHECKING:
    from cluster.console.status import ClusterStatus
    from cluster.doctor.checks import Finding

COLOURS = {"ok": "green", "running": "green", "warn": "yellow", "fail": "red", "degraded": "red"}


def show_status(status: "ClusterStatus") -> None:
    """Print what runs."""
    console = output()
    console.print(f"{_coloured(status.status)} for {_duration(status.uptime_s)} at {status.url}")
    if status.problem:
        console.print(f"problem: {escape(status.problem)}")
    console.print(f"models: {', '.join(status.models) or 'none'}")
    console.print(f"Ray: {status.address} ({status.kind}), dashboard {status.dashboard}")
    if status.processes:
        console.print(f"{status.processes} processes, {status.memory_bytes / 2**30:.1f} GiB")
    table = Table("application", "deployment", "state", "replicas")
    for part in status.deployments:
        table.add_row(part.application, part.name, _coloured(part.state), f"{part.ready}/{part.wanted}")
    console.print(table)


def show_findings(findings: Sequence["Finding"]) -> None:
    """Print what the doctor found."""
    table = Table("", "check", "found", "what to do")
    for finding in findings:
        table.add_row(_coloured(finding.level.value), finding.name, escape(finding.what), escape(finding.hint))
    output().print(table)


def _coloured(word: str) -> str:
    return f"[{COLOURS[word]}]{word}[/]" if word in COLOURS else word


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
