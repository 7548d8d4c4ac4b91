"""Train and measure the built-in models: `python -m pipelines.training train spark-chat`."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from cluster.errors import StartFailed
from pipelines.training import extra

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pipelines.training.course import Course
    from pipelines.training.loop import Report, Training

app = typer.Typer(help="Train and measure the built-in models.", no_args_is_help=True, add_completion=False)
console = Console()

# Read by OpenMP as torch is imported. Threads that spin while they wait for each other come to a standstill where
# other programs want the cores too: ten times slower was seen.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_LOG_LINE_EVERY_S = 30.0
_MODELS = ("spark-chat", "spark-vision")

ModelName = Annotated[str, typer.Argument(help="A built-in model: " + ", ".join(_MODELS) + ".")]
Out = Annotated[Path | None, typer.Option(help="The model's folder.", show_default="models/<model>")]
Threads = Annotated[int, typer.Option(min=1, help="CPU threads; more than two gain little.")]


@app.command()
def train(
    model: ModelName,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Optimizer steps in all.", show_default="the recipe's")
    ] = None,
    out: Out = None,
    work: Annotated[
        Path | None, typer.Option(help="Where checkpoints are.", show_default=".heliostat/training/<model>")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh/--resume", help="Start anew, or go on if one can.")] = False,
    base: Annotated[
        Path | None, typer.Option("--from", help="Begin with the weights and tokenizer of an exported model.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of data and weights; a resumed training keeps its own.")] = 0,
    threads: Threads = 2,
) -> None:
    """Train a model, export it, measure it and write its card. With more steps, go on with one that has ended."""
    from pipelines.training import loop  # noqa: I001  # torch is slow to import, and --help needs none of it
    import torch

    course = _course(model)
    torch.set_num_threads(threads)
    folder = work or Path(".heliostat/training") / model
    if not fresh and loop.has_checkpoint(folder):
        training = loop.Training.resume(course, folder, steps=steps)
        console.print(f"Resuming at step {training.step}, after {training.elapsed_s / 60:.1f} min.")
    else:
        training = loop.Training.begin(course, folder, seed=seed, steps=steps, base=base)
    with _display(model, training) as show:
        loop.train(training, work=folder, report=show)
    _publish(training, out or Path("models") / model)


@app.command(name="eval")
def evaluate_model(
    model: ModelName,
    out: Out = None,
    each: Annotated[int, typer.Option(min=1, help="Questions of each task.")] = 100,
    misses: Annotated[bool, typer.Option(help="Show some wrong answers.")] = False,
    threads: Threads = 2,
) -> None:
    """Measure an exported model in this process; `heliostat models eval` measures the served ones."""
    import torch

    from pipelines.training.publish import measure

    torch.set_num_threads(threads)
    evaluation = measure(_course(model), out or Path("models") / model, each=each)
    table = Table("task", "right", "target")
    for score in evaluation.scores:
        target = "" if score.target is None else f"{score.target:.0%}"
        table.add_row(score.task, f"{score.right} / {score.asked}", target)
    console.print(table)
    for miss in evaluation.misses if misses else ():
        console.print(
            f"{miss.task}\n  asked  {miss.question!r}\n  wanted {miss.wanted!r}\n  got    {miss.got!r}",
            markup=False,
        )


@contextmanager
def _display(model: str, training: "Training") -> "Iterator[Callable[[Report], None]]":
    """Show a bar on a terminal, and a line now and then in a log."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    said_at = training.elapsed_s
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(model, total=training.steps, completed=training.step)

        def show(report: "Report") -> None:
            nonlocal said_at
            line = f"step {report.step}  loss {report.loss:.3f}  hits {report.hits:.1%}"
            progress.update(bar, completed=report.step, description=line)
            if not console.is_terminal and report.elapsed_s - said_at >= _LOG_LINE_EVERY_S:
                said_at = report.elapsed_s
                console.print(
                    f"{report.elapsed_s / 60:.1f} min  {line} of {report.steps}  tokens {report.tokens:,}"
                )

        yield show


def _publish(training: "Training", out: Path) -> None:
    from pipelines.training.publish import publish

    for score in publish(training, out):
        console.print(f"{score.task}: {score.right} / {score.asked}", markup=False)
    console.print(f"Written to {out}.")


def _course(model: str) -> "Course":
    try:
        extra.require()
    except StartFailed as error:
        raise typer.BadParameter(str(error)) from error
    if model == "spark-chat":
        from pipelines.training.chat.course import ChatCourse

        return ChatCourse()
    if model == "spark-vision":
        from pipelines.training.vision.course import VisionCourse

        return VisionCourse()
    raise typer.BadParameter(f"no built-in model {model!r}: choose from {', '.join(_MODELS)}")


if __name__ == "__main__":
    app()
