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
from pipelines.training.chat.tools import call_tool, leave_tools
from pipelines.training.chat.vocabulary import Split
from pipelines.training.prompts import Dialogue


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A part of the training: until which step of it, and on what.

    `copying` is the share of plain copying, of up to `words` words; `grounded` that of
    grounded questions in one of `shapes`; the rest is dialogue, instructions, tools and, as a share `stories` of
    it, stories: these cost many tokens and teach little else.
    """

    until: int
    copying: float
    grounded: float
    words: int
    stories: float = 0.16
    shapes: tuple[Shape, ...]


LAST = 10**9  # a step of the last stage, which has no end

_ONE = Shape(facts=1, passages=1, abstain=0.1)
_TWO = Shape(facts=2, passages=2, abstain=0.15)
_THREE = Shape(facts=3, passages=3)
_FIVE = Shape(facts=5, passages=5, markdown=True, follow_ups=5)
_EIGHT = Shape(facts=8, passages=5, markdown=True, follow_ups=7)
_FIFTEEN = Shape(facts=15, passages=5, markdown=True, follow_ups=10)
_THIRTY = Shape(facts=30, passages=6, markdown=True, follow_ups=14)

_ALL = (_ONE, _TWO, _THREE, _THREE, _FIVE, _FIVE, _FIVE, _EIGHT, _EIGHT, _FIFTEEN, _THIRTY)
_MOST = (_ONE, _ONE, _TWO, _TWO, _THREE, _THREE, _THREE, _FIVE, _FIVE, _FIVE, _FIVE, _EIGHT, _EIGHT, _FIFTEEN)

STAGES = (
    Stage(until=900, copying=0.5, grounded=0.42, words=5, shapes=(_ONE,)),
    Stage(until=1800, copying=0.25, grounded=0.55, words=8, shapes=(_ONE, _TWO, _TWO)),
    Stage(until=3000, copying=0.12, grounded=0.55, words=12, shapes=(_ONE, _TWO, _THREE, _THREE)),
    Stage(until=5000, copying=0.06, grounded=0.52, words=12, shapes=(_ONE, _TWO, _THREE, _FIVE, _FIVE)),
    Stage(until=5800, copying=0.04, grounded=0.5, words=16, stories=0.16, shapes=_ALL),
    Stage(until=LAST + 1, copying=0.05, grounded=0.4, words=16, stories=0.05, shapes=_MOST),
)


def stage_at(step: int) -> Stage:
    """Return the stage of a step."""
    return next(stage for stage in STAGES if step < stage.until)


def draw(rng: Random, step: int, split: Split = "train") -> Dialogue:
    """Draw one dialogue of the mixture that fits the step."""
    stage = stage_at(step)
    choice = rng.random()
    if choice < stage.copying:
        if rng.random() < 0.6:
            return echo(rng, split, stage.words)
        return pick_from_pairs(rng, split, rng.randint(1, max(stage.words // 2, 2)))
    if choice < stage.copying + stage.grounded:
        return ground(rng, rng.choice(stage.shapes), split)
    return _other(rng, split, stage.stories)


def _other(rng: Random, split: Split, stories: float) -> Dialogue:
    choice = rng.random()
    if choice < stories:
        return tell(rng) if rng.random() < 0.55 else depict(rng)
    choice = (choice - stories) / (1 - stories)
    if choice < 0.22:
        return talk(rng, split)
    if choice < 0.75:
        return instruct(rng, split)
    return call_tool(rng, split) if choice < 0.96 else leave_tools(rng, split)
