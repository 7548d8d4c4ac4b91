"""What was measured of the served models: as tables on a terminal, as JSON, and as the table in a model's card."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.errors import BadRequest
from pipelines.training.served import FIRST_TARGET_MS, RATE_TARGET, Measured, Speed
from pipelines.training.tasks import Score

if TYPE_CHECKING:
    from rich.console import Console

BEGIN, END = "<!-- served: begin -->", "<!-- served: end -->"
"""What stands in a card before and after its measured table, each on a line of its own."""
COMMAND = "make models-eval"


def show(measured: Measured, console: "Console") -> None:
    """Print both tables, a missed target marked."""
    from rich.table import Table

    title = f"{measured.model}, revision {measured.revision}, served"
    table = Table("task", "right", "95 % interval", "target", "", title=title, title_justify="left")
    for score in measured.evaluation.scores:
        table.add_row(
            score.task, _right(score), _interval(score), _target(score.target), _mark(score.target, score.reached)
        )
    console.print(table)
    table = Table("one client", "", "target", "", title=f"{measured.model}, speed", title_justify="left")
    for name, figure, target, reached in _speed_rows(measured.speed):
        table.add_row(name, figure, target, _mark(target or None, reached))
    console.print(table)


def show_misses(measured: Measured, console: "Console") -> None:
    """Print the first wrong answers of each task."""
    for miss in measured.evaluation.misses:
        lines = f"  asked  {miss.question!r}\n  wanted {miss.wanted!r}\n  got    {miss.got!r}"
        console.print(f"{miss.task}\n{lines}", markup=False, highlight=False)


def as_json(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """All that was measured, a JSON object a model."""
    return [
        {
            "model": one.model,
            "revision": one.revision,
            "reached": one.reached,
            "scores": [
                {**asdict(score), "share": score.share, "interval": score.interval, "reached": score.reached}
                for score in one.evaluation.scores
            ],
            "speed": {**asdict(one.speed), "reached": one.speed.reached},
            "misses": [asdict(miss) for miss in one.evaluation.misses],
        }
        for one in measured
    ]


def markdown(measured: Measured) -> str:
    """The tables as a card shows them. Times depend on the machine, so the card says where they were taken."""
    rows = [
        f"| {score.task} | {_right(score)} | {_interval(score)} | {_target(score.target)} |"
        for score in measured.evaluation.scores
    ]
    speeds = [f"| {name} | {figure} | {target} |" for name, figure, target, _ in _speed_rows(measured.speed)]
    return "\n".join(
        [
            "| task | right | 95 % interval | target |",
            "|---|---|---|---|",
            *rows,
            "",
            "| one client | | target |",
            "|---|---|---|",
            *speeds,
            "",
            f"Asked over HTTP, through the gateway and vLLM, at temperature 0: `{COMMAND}`. "
            f"Revision of the weights: `{measured.revision}`.",
        ]
    )


def with_table(card: str, measured: Measured) -> str:
    """The card's text with its measured table replaced. Raises BadRequest for a card without a place for one."""
    before, begin, rest = card.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BadRequest(f"The card has no place for a measured table: {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{markdown(measured)}\n{END}{after}"


def write_card_table(card: Path, measured: Measured) -> None:
    """Replace the measured table in a card's file. Raises BadRequest as `with_table` does."""
    card.write_text(with_table(card.read_text(encoding="utf-8"), measured), encoding="utf-8")


def _right(score: Score) -> str:
    return f"{score.right} / {score.asked}"


def _interval(score: Score) -> str:
    low, high = score.interval
    return f"{low:.1%} to {high:.1%}"


def _target(target: float | None) -> str:
    return "" if target is None else f"≥ {target:.0%}"


def _mark(target: object, reached: bool) -> str:
    return "" if target is None else "reached" if reached else "MISSED"


def _speed_rows(speed: Speed) -> list[tuple[str, str, str, bool]]:
    """Name, figure, target in words or nothing, and whether it is reached."""
    asked = "a picture and a question" if speed.pictures else "text"
    first, late = f"{speed.first_p50_ms:.0f} ms", f"{speed.first_p95_ms:.0f} ms"
    fast = speed.tokens_per_s >= RATE_TARGET
    return [
        (
            f"first token, {asked}, median of {speed.requests}",
            first,
            f"< {FIRST_TARGET_MS:.0f} ms",
            speed.first_p50_ms < FIRST_TARGET_MS,
        ),
        (f"first token, {asked}, 95th percentile", late, "", True),
        (f"answer of {speed.tokens} tokens", f"{speed.tokens_per_s:.0f} tokens/s", f"≥ {RATE_TARGET:.0f}", fast),
    ]
