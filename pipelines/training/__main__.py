"""Train and measure the built-in models: `python -m pipelines.training train spark-chat`."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from pipelines.training.recipe import RECIPES, Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipelines.training.loop import Report, Training

app = typer.Typer(help="Train and measure the built-in models.", no_args_is_help=True, add_completion=False)
console = Console()

# Read by OpenMP as torch is imported. Threads that spin while they wait for each other come to a standstill where
# other programs want the cores too: ten times slower was seen.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_LOG_LINE_EVERY_S = 30.0
_THREADS = 2  # more gain little at this size, and the machine is shared

ModelName = Annotated[str, typer.Argument(help="A built-in model: " + ", ".join(RECIPES) + ".")]
Out = Annotated[Path | None, typer.Option(help="The model's folder.", show_default="models/<model>")]


@app.command()
def train(
    model: ModelName,
    minutes: Annotated[float, typer.Option(min=0.1, help="Minutes of training in all.")] = 15.0,
    out: Out = None,
    work: Annotated[
        Path | None, typer.Option(help="Where checkpoints are.", show_default=".heliostat/training/<model>")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh/--resume", help="Start anew, or go on if one can.")] = False,
    seed: Annotated[int, typer.Option(help="Of data and weights; a resumed training keeps its own.")] = 0,
) -> None:
    """Train a model, export it, measure it and write its card."""
    from pipelines.training import loop  # noqa: I001  # torch is slow to import, and --help needs none of it
    import torch

    recipe = _recipe(model)
    torch.set_num_threads(_THREADS)
    folder = work or Path(".heliostat/training") / model
    if not fresh and loop.has_checkpoint(folder):
        training = loop.Training.resume(recipe, folder)
        console.print(f"Resuming at step {training.step}, after {training.elapsed_s / 60:.1f} min.")
    else:
        training = loop.Training.begin(recipe, folder, seed)
    with _display(model, minutes, training.elapsed_s) as show:
        loop.train(training, minutes=minutes, work=folder, report=show)
    _publish(training, out or Path("models") / model)


@app.command(name="eval")
def evaluate_model(
    model: ModelName,
    out: Out = None,
    each: Annotated[int, typer.Option(min=1, help="Questions of each task.")] = 100,
    misses: Annotated[bool, typer.Option(help="Show some wrong answers.")] = False,
) -> None:
    """Measure an exported model on held-out data."""
    import torch

    from pipelines.training.export import load, measure

    recipe = _recipe(model)
    torch.set_num_threads(_THREADS)
    evaluation = measure(*load(recipe, out or Path("models") / model), each=each)
    table = Table("task", "right")
    for score in evaluation.scores:
        table.add_row(score.task, f"{score.right} / {score.asked}")
    console.print(table)
    for miss in evaluation.misses if misses else ():
        console.print(
            f"{miss.task}\n  asked  {miss.question!r}\n  wanted {miss.wanted!r}\n  got    {miss.got!r}",
            markup=False,
        )


@contextmanager
def _display(model: str, minutes: float, elapsed_s: float) -> "Iterator[Callable[[Report], None]]":
    """Show a bar on a terminal, and a line now and then in a log."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    said_at = elapsed_s
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(model, total=minutes * 60, completed=int(elapsed_s))

        def show(report: "Report") -> None:
            nonlocal said_at
            line = f"step {report.step}  loss {report.loss:.3f}  hits {report.hits:.1%}"
            progress.update(bar, completed=report.elapsed_s, description=line)
            if not console.is_terminal and report.elapsed_s - said_at >= _LOG_LINE_EVERY_S:
                said_at = report.elapsed_s
                console.print(f"{report.elapsed_s / 60:.1f} of {minutes:.1f} min  {line}  tokens {report.tokens:,}")

        yield show


def _publish(training: "Training", out: Path) -> None:
    from pipelines.training.export import publish

    evaluation = publish(training, out)
    for score in evaluation.scores:
        console.print(f"{score.task}: {score.right} / {score.asked}", markup=False)
    console.print(f"Written to {out}.")


def _recipe(model: str) -> Recipe:
    if model not in RECIPES:
        raise typer.BadParameter(f"no built-in model {model!r}: choose from {', '.join(RECIPES)}")
    return RECIPES[model]


if __name__ == "__main__":
    app()
