"""What was measured of the served models: as tables on a terminal, as JSON, and as the table in a model's card."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.training.card import cells, table, with_measured
from pipelines.training.served import FIRST_TARGET_MS, RATE_TARGET, Measured, Speed

if TYPE_CHECKING:
    from rich.console import Console

COMMAND = "make models-eval"


def show(measured: Measured, console: "Console") -> None:
    """Print both tables, a missed target marked."""
    from rich.table import Table

    title = f"{measured.model}, revision {measured.revision}, served"
    shown = Table("task", "right", "95 % interval", "target", "", title=title, title_justify="left")
    for score in measured.evaluation.scores:
        shown.add_row(score.task, *cells(score), _mark(score.target, score.reached))
    console.print(shown)
    shown = Table("one client", "", "target", "", title=f"{measured.model}, speed", title_justify="left")
    for name, figure, target, reached in _speed_rows(measured.speed):
        shown.add_row(name, figure, target, _mark(target or None, reached))
    console.print(shown)


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
    speeds = [f"| {name} | {figure} | {target} |" for name, figure, target, _ in _speed_rows(measured.speed)]
    return "\n".join(
        [
            table(measured.evaluation.scores),
            "",
            "| one client | | target |",
            "|---|---|---|",
            *speeds,
            "",
            f"Asked over HTTP, through the gateway and vLLM, at temperature 0: `{COMMAND}`. "
            f"Revision of the weights: `{measured.revision}`.",
        ]
    )


def write_card_table(card: Path, measured: Measured) -> None:
    """Replace the measured table in a card's file. Raises ValueError for a card without a place for one."""
    card.write_text(with_measured(card.read_text(encoding="utf-8"), markdown(measured)), encoding="utf-8")


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
