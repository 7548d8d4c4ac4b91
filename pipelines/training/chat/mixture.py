"""The curriculum: what is trained on, and in which order.

Trained at once on contexts of five facts, a model of this size copies nothing for
minutes. Begun with repeating and with one fact, then two, three and five, it
learns each step from the one before it.
"""

from dataclasses import dataclass
from random import Random

from pipelines.training.chat.dialogue import talk
from pipelines.training.chat.grounded import Shape, ground
from pipelines.training.chat.instructions import echo, instruct, pick_from_pairs
from pipelines.training.chat.stories import depict, tell
from pipelines.training.chat.vocabulary import Split
from pipelines.training.prompts import Dialogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of the training: until which share of it, and on what.

    `copying` is the share of plain copying, of up to `words` words; `grounded` that of
    grounded questions in one of `shapes`; the rest is dialogue, instructions and stories.
    """

    until: float
    copying: float
    grounded: float
    words: int
    shapes: tuple[Shape, ...]


_ONE = Shape(facts=1, passages=1, abstain=0.1)
_TWO = Shape(facts=2, passages=2, abstain=0.15)
_THREE = Shape(facts=3, passages=3)
_FIVE = Shape(facts=5, passages=5, markdown=True, follow_ups=4)
_EIGHT = Shape(facts=8, passages=5, markdown=True, follow_ups=5)
_FIFTEEN = Shape(facts=15, passages=5, markdown=True, follow_ups=6)

STAGES = (
    Stage(until=0.18, copying=0.5, grounded=0.42, words=5, shapes=(_ONE,)),
    Stage(until=0.32, copying=0.25, grounded=0.55, words=8, shapes=(_ONE, _TWO, _TWO)),
    Stage(until=0.5, copying=0.12, grounded=0.6, words=12, shapes=(_ONE, _TWO, _THREE, _THREE)),
    Stage(until=0.75, copying=0.08, grounded=0.6, words=12, shapes=(_ONE, _TWO, _THREE, _FIVE, _FIVE)),
    Stage(
        until=1.0,
        copying=0.05,
        grounded=0.55,
        words=12,
        shapes=(_ONE, _TWO, _THREE, _FIVE, _FIVE, _EIGHT, _FIFTEEN),
    ),
)


def stage_at(progress: float) -> Stage:
    """Return the stage of a progress between 0 and 1; the last one beyond."""
    return next((stage for stage in STAGES if progress < stage.until), STAGES[-1])


def draw(rng: Random, progress: float, split: Split = "train") -> Dialogue:
    """Draw one dialogue of the mixture that fits the progress."""
    stage = stage_at(progress)
    choice = rng.random()
    if choice < stage.copying:
        if rng.random() < 0.6:
            return echo(rng, split, stage.words)
        return pick_from_pairs(rng, split, rng.randint(1, max(stage.words // 2, 2)))
    if choice < stage.copying + stage.grounded:
        return ground(rng, rng.choice(stage.shapes), split)
    return _other(rng, split)


def _other(rng: Random, split: Split) -> Dialogue:
    draw_of = rng.random()
    if draw_of < 0.4:
        return talk(rng, split)
    if draw_of < 0.7:
        return instruct(rng, split)
    return tell(rng) if draw_of < 0.87 else depict(rng)
