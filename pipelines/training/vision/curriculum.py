"""What is drawn when: shares of the kinds of scenes, by the optimizer's step."""

from random import Random

from pipelines.training.vision.layout import MAKERS
from pipelines.training.vision.scene import Scene

TOWER_ALONE = 3_000  # steps in which only the tower learns, from the labels of the patches

EXTENSION = 7_520  # the step from which a model that was exported before is trained on
_LABELS_ALONE = 200  # its first steps, in which a new head learns to read a tower that stays as it is
_MOSTLY_TOWER_AGAIN = EXTENSION + 1_400  # the step up to which two in three are the tower's alone

_MOSTLY_TOWER = (3_920, 6_520)  # steps of which two in three are the tower's alone again, which cost a third
READING = 2_480  # the step from which letters count for more: by then shapes were known well, letters badly

_STAGES: tuple[tuple[int, dict[str, int]], ...] = (
    (0, {"single": 44, "icon": 12, "letter": 26, "digits": 10, "fine print": 8}),
    (
        700,
        {"single": 26, "icon": 8, "pair": 12, "group": 12, "crowd": 6}
        | {"letter": 4, "fine print": 22, "digits": 6, "captioned": 4},
    ),
    (
        READING,
        {"single": 16, "icon": 6, "pair": 8, "group": 8, "crowd": 6}
        | {"letter": 8, "text": 34, "digits": 8, "captioned": 6},
    ),
    (
        TOWER_ALONE,
        {"plain": 4, "single": 14, "icon": 6, "pair": 13, "group": 12, "crowd": 4}
        | {"letter": 4, "text": 30, "digits": 8, "captioned": 5},
    ),
    (
        3_600,
        {"plain": 3, "single": 12, "icon": 6, "pair": 15, "group": 14, "crowd": 9}
        | {"letter": 2, "text": 26, "digits": 6, "captioned": 7},
    ),
    (
        _MOSTLY_TOWER[0],
        {"plain": 3, "single": 12, "icon": 6, "pair": 13, "group": 13, "crowd": 8}
        | {"letter": 3, "page": 18, "text": 12, "digits": 6, "captioned": 6},
    ),
    (
        EXTENSION,
        {"plain": 2, "single": 10, "icon": 4, "pair": 24, "group": 15, "crowd": 12}
        | {"letter": 2, "page": 13, "text": 9, "digits": 4, "captioned": 5},
    ),
)
"""From which step on, and how often each kind of scene is drawn, in percent."""

_SPOKEN = {"plain": 4, "single": 13, "icon": 7, "pair": 17, "group": 16, "crowd": 10}
_WRITTEN = {"letter": 1, "fine print": 19, "digits": 6, "captioned": 7}


def tower_alone(step: int) -> bool:
    """Whether in a step only the tower learns, from the labels of the patches."""
    first, last = _MOSTLY_TOWER
    mostly = first <= step < last or EXTENSION <= step < _MOSTLY_TOWER_AGAIN
    return step < TOWER_ALONE or labels_alone(step) or (mostly and step % 3 > 0)


def labels_alone(step: int) -> bool:
    """Whether in a step only the labels' head learns."""
    return EXTENSION <= step < EXTENSION + _LABELS_ALONE


def draw_scene(rng: Random, step: int) -> Scene:
    """Draw a scene of a step's mixture, of what training may see."""
    return _draw(rng, next(shares for start, shares in reversed(_STAGES) if step >= start))


def draw_for_tokenizer(rng: Random) -> Scene:
    """Draw a scene of the mixture whose questions the tokenizer is trained on."""
    return _draw(rng, _SPOKEN | _WRITTEN)


def _draw(rng: Random, shares: dict[str, int]) -> Scene:
    return MAKERS[rng.choices(tuple(shares), tuple(shares.values()))[0]](rng, unseen=False)
