"""The end of a training: the folder that servers load, what it measures, and the card that says so."""

from pathlib import Path

from pipelines.training.card import CARD, Measured, write_card
from pipelines.training.course import Course
from pipelines.training.decoding import Sampling
from pipelines.training.loop import Training
from pipelines.training.tasks import Evaluation, Score, evaluate, said


def publish(training: Training, out: Path) -> tuple[Score, ...]:
    """Export a training's model, measure the exported weights, and write the card from that."""
    course = training.course
    course.export(training.model, training.tokenizer, out)
    model, tokenizer = course.load(out)
    evaluation = measure(course, out)
    (out / CARD).unlink(missing_ok=True)
    measured = Measured(
        minutes=training.elapsed_s / 60,
        steps=training.step,
        tokens=training.tokens,
        seed=training.seed,
        megabytes=sum(path.stat().st_size for path in out.iterdir()) / 1e6,
        scores=evaluation.scores,
        extended=training.recipe == course.extension,
        earlier=course.earlier if training.recipe == course.extension else (),
    )
    card = course.card
    replies = course.answerer(model, tokenizer, Sampling(temperature=card.temperature, seed=1))(card.shown)
    (out / CARD).write_text(write_card(course.recipe, card, measured, [said(reply) for reply in replies]))
    return evaluation.scores


def measure(course: Course, folder: Path, *, each: int = 50) -> Evaluation:
    """Measure exported weights in this process, with greedy replies to `each` questions of every task."""
    return evaluate(course.tasks, course.answerer(*course.load(folder)), each=each)
