"""The model card: written from what was measured, never by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.training.recipe import Recipe, Stretch
from pipelines.training.tasks import Example, Score

CARD = "README.md"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"  # around what a later measurement replaces
_NOTE = "Measured by the training itself, in its own decoder. `make models-eval` measures the served model."


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What a card says that is not measured, as Markdown without headings.

    shown: examples whose replies the card shows, sampled once at `temperature`. They are chosen before any model
    has answered, and not by the answers.
    """

    pipeline_tag: str
    summary: str
    use: str
    data: str
    shown: tuple[Example, ...]
    temperature: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a card states about one training; the time is training's alone, over all its sessions.

    extended: whether it began with an exported model. earlier: the extensions that one had had before.
    """

    minutes: float
    steps: int
    tokens: int
    seed: int
    megabytes: float
    scores: tuple[Score, ...]
    extended: bool = False
    earlier: tuple[Stretch, ...] = ()


def write_card(recipe: Recipe, card: Card, measured: Measured, replies: Sequence[str]) -> str:
    """Write the card's Markdown; `replies` answer `card.shown` in order."""
    return (
        "\n\n".join(
            [
                _head(recipe, card, measured),
                f"## What it is for, and what it is not\n\n{card.use}",
                _training(recipe, card, measured),
                f"## Measured\n\n{BEGIN}\n{table(measured.scores)}\n\n{_NOTE}\n{END}",
                _shown(card, replies),
            ]
        ).rstrip()
        + "\n"
    )


def table(scores: Sequence[Score]) -> str:
    """The measured table, with Wilson's 95 % intervals and the targets where there are some."""
    rows = "\n".join(_row(score) for score in scores)
    return f"| task | right | 95 % interval | target |\n|---|---|---|---|\n{rows}"


def cells(score: Score) -> tuple[str, str, str]:
    """What a table says of a score: right of asked, the interval, the target."""
    low, high = score.interval
    target = "" if score.target is None else f"≥ {score.target:.0%}"
    return f"{score.right} / {score.asked}", f"{low:.1%} to {high:.1%}", target


def with_measured(card: str, text: str) -> str:
    """The card with another text between its marks.

    Raises:
        ValueError: for a card that has no such place.
    """
    before, begin, rest = card.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the card has no place for a measured table: {BEGIN} … {END}")
    return f"{before}{BEGIN}\n{text}\n{END}{after}"


def _row(score: Score) -> str:
    return f"| {score.task} | {' | '.join(cells(score))} |"


def _head(recipe: Recipe, card: Card, measured: Measured) -> str:
    return f"""---
license: apache-2.0
language: en
library_name: transformers
pipeline_tag: {card.pipeline_tag}
---

# {recipe.name}

{card.summary} {measured.megabytes:.1f} MB in bfloat16, with its tokenizer."""


def _training(recipe: Recipe, card: Card, measured: Measured) -> str:
    return f"""## Data and training

{card.data}

{_taken(recipe, measured)} The layers' matrices are learnt with Muon, all else with AdamW. {_again(measured)} (to \
the bit only on the same processor, with as many threads and in one go), the last measures it as served.

```bash
{_commands(recipe, measured)}
heliostat models eval --model {recipe.name}
```"""


def _taken(recipe: Recipe, measured: Measured) -> str:
    steps = f"{measured.steps:,} {'more' if measured.extended else ''}".rstrip()
    made = " and ".join(f"{steps:,}" for steps in (recipe.steps, *(one.steps for one in measured.earlier)))
    begun = f"This copy began with one of {made} steps, and" if measured.extended else "This copy"
    return (
        f"{begun} took {steps} steps, {measured.tokens:,} tokens (padding included), with seed {measured.seed}: "
        f"{measured.minutes:.0f} minutes on CPU cores that had other work as well."
    )


def _again(measured: Measured) -> str:
    return "The commands before the last make it again" if measured.extended else "The first command makes it again"


def _commands(recipe: Recipe, measured: Measured) -> str:
    train = f"python -m pipelines.training train {recipe.name}"
    if not measured.extended:
        return f"{train} --steps {measured.steps} --seed {measured.seed} --fresh"
    folder = f".heliostat/training/{recipe.name}-base"
    lines = [f"{train} --fresh --out {folder}"]
    for number, stretch in enumerate(measured.earlier, start=1):
        lines.append(
            f"{train} --from {folder} --steps {stretch.steps} --seed {stretch.seed} --fresh --out {folder}-{number}"
        )
        folder = f"{folder.removesuffix(f'-{number - 1}')}-{number}"
    lines.append(f"{train} --from {folder} --steps {measured.steps} --seed {measured.seed} --fresh")
    return "\n".join(lines)


def _shown(card: Card, replies: Sequence[str]) -> str:
    parts = []
    for example, reply in zip(card.shown, replies, strict=True):
        parts.append(f"user: {example.question}\nassistant: {reply}")
    shown = "\n\n".join(parts)
    return f"""## {len(parts)} replies, unedited

Sampled once at temperature {card.temperature:g}; the prompts were chosen before the model was trained.

```text
{shown}
```"""
